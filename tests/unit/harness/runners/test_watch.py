# SPDX-License-Identifier: Apache-2.0
"""bsdgate.harness.runners.watch."""

from pathlib import Path
from typing import Any

import pytest

from bsdgate.harness import process
from bsdgate.harness.runners.watch import complaints, watch
from bsdgate.results.codes import Code
from bsdgate.results.problems import Problem


def shell(script: str, folder: Path) -> process.Running:
    return process.start(["/bin/sh", "-c", script], log=folder / "log", stdout=process.PIPE)


def nothing_wrong() -> list[Problem]:
    return []


DIED = Problem(Code.SERVICE_DIED, "a service died")


def test_all_output_is_handed_on_and_the_status_returned(tmp_path: Path) -> None:
    taken: list[bytes] = []
    with shell("echo one; echo two; exit 3", tmp_path) as running:
        assert watch(running, taken.append, nothing_wrong) == (3, [])
    assert b"".join(taken) == b"one\ntwo\n"


def test_a_process_that_holds_the_output_does_not_keep_the_run(tmp_path: Path) -> None:
    """The runner has ended, and what it left in its own session writes nothing any more."""
    taken: list[bytes] = []
    script = "echo one; (setsid sleep 1000 &); sleep 1000 & echo two; exit 3"
    with shell(script, tmp_path) as running:
        assert watch(running, taken.append, nothing_wrong) == (3, [])
        assert len(running.left) == 2
    assert b"".join(taken) == b"one\ntwo\n"


def test_the_process_is_ended_as_soon_as_something_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bsdgate.harness.runners.watch.TICK", 0.01)
    fifo = tmp_path / "never"
    with shell(f"mkfifo {fifo}; echo started; exec cat <> {fifo}", tmp_path) as running:
        status, problems = watch(running, lambda _: None, lambda: [DIED])
    assert (status, problems) == (-15, [DIED])


def test_what_went_wrong_at_the_very_end_is_seen(tmp_path: Path) -> None:
    with shell("exit 0", tmp_path) as running:
        assert watch(running, lambda _: None, lambda: [DIED]) == (0, [DIED])


def status(state: str, **services: Any) -> dict[str, Any]:
    return {"state": state, "services": services}


def service(state: str, log: Path) -> dict[str, Any]:
    return {"state": state, "exit_status": -9, "log": str(log)}


def test_a_dead_service_is_named_with_its_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "nova.log"
    log.write_text("".join(f"line {number}\n" for number in range(20)))
    nova, glance = service("died", log), service("serving", log)
    (complaint,) = complaints(status("failed", nova=nova, glance=glance))
    assert complaint.code is Code.SERVICE_DIED
    assert complaint.text.startswith("nova died with status -9; its last lines:\nline 10\n")
    assert complaint.text.endswith("line 19")


def test_a_dead_service_without_a_log_is_named(tmp_path: Path) -> None:
    (complaint,) = complaints(status("failed", nova=service("died", tmp_path / "none")))
    assert complaint.text.startswith("nova died with status -9")


def test_a_cloud_that_is_ready_has_no_complaint_and_one_that_is_gone_has(tmp_path: Path) -> None:
    assert complaints(status("ready", nova=service("serving", tmp_path))) == []
    assert complaints(status("gone")) == [Problem(Code.CLOUD_NOT_READY, "the cloud is gone")]
