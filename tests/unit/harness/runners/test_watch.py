# SPDX-License-Identifier: Apache-2.0
"""bsdgate.harness.runners.watch."""

from pathlib import Path

import pytest

from bsdgate.harness import process
from bsdgate.harness.runners.watch import watch
from bsdgate.results.codes import Code
from bsdgate.results.problems import Problem


def shell(script: str, folder: Path) -> process.Running:
    return process.start(["/bin/sh", "-c", script], log=folder / "log", stdout=process.PIPE)


def nothing_wrong() -> list[Problem]:
    return []


DIED = Problem(Code.SERVICE_DIED, "a service died")


def test_all_output_is_passed_on_and_the_status_returned(tmp_path: Path) -> None:
    taken: list[bytes] = []
    with shell("echo one; echo two; exit 3", tmp_path) as running:
        assert watch(running, taken.append, nothing_wrong) == (3, [])
    assert b"".join(taken) == b"one\ntwo\n"


def test_a_process_that_holds_the_output_open_does_not_delay_the_run(tmp_path: Path) -> None:
    """The runner has ended, but a process in another session holds its output open."""
    taken: list[bytes] = []
    script = "echo one; (setsid sleep 1000 &); sleep 1000 & echo two; exit 3"
    with shell(script, tmp_path) as running:
        assert watch(running, taken.append, nothing_wrong) == (3, [])
        assert len(running.left) == 2
    assert b"".join(taken) == b"one\ntwo\n"


def test_the_process_is_ended_at_the_first_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bsdgate.harness.runners.watch.TICK", 0.01)
    fifo = tmp_path / "never"
    with shell(f"mkfifo {fifo}; echo started; exec cat <> {fifo}", tmp_path) as running:
        status, problems = watch(running, lambda _: None, lambda: [DIED])
    assert (status, problems) == (-15, [DIED])


def test_a_problem_at_the_end_is_returned(tmp_path: Path) -> None:
    with shell("exit 0", tmp_path) as running:
        assert watch(running, lambda _: None, lambda: [DIED]) == (0, [DIED])
