# SPDX-License-Identifier: Apache-2.0
"""The durations of tests in earlier runs, and the signals that stop a run."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import pytest
from unit.results.store.contract import verdict

from bsdgate.harness.runners import durations
from bsdgate.results import document


class Runs:
    """A directory of runs; a call adds the run of an hour, with its verdict if there is one."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, number: int, content: bytes | None = None, **changes: Any) -> Path:
        report = self.path / f"run-{number}" / "report"
        report.mkdir(parents=True)
        if content is None:
            content = document.render(verdict(number, "ss", **changes)).encode()
        (report / "verdict.json").write_bytes(content)
        os.utime(report / "verdict.json", (number, number))
        return report / "verdict.json"


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


def test_durations_come_from_the_newest_run_of_the_suite(runs: Runs) -> None:
    runs(3)
    runs(5)
    runs(7, suite="gate")
    assert durations.newest(runs.path, "smoke") == {"t0": 5.5, "t1": 5.5}
    assert durations.newest(runs.path) == {"t0": 7.5, "t1": 7.5}
    assert durations.newest(runs.path, "nightly") == {}


def test_a_run_with_a_selection_is_skipped(runs: Runs) -> None:
    runs(3)
    runs(5, selection="t0")
    assert durations.newest(runs.path, "smoke") == {"t0": 3.5, "t1": 3.5}


def _dangle(file: Path) -> None:
    file.unlink()
    file.symlink_to(file.with_name("nothing"))


def _pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


@pytest.mark.parametrize("spoil", [_dangle, _pipe])
def test_a_verdict_that_is_not_a_file_is_skipped(runs: Runs, spoil: Callable[..., None]) -> None:
    runs(3)
    spoil(runs(5))
    assert durations.newest(runs.path) == {"t0": 3.5, "t1": 3.5}


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"{ }", b"[" * 99_999], ids=len)
def test_a_damaged_verdict_is_skipped(runs: Runs, content: bytes) -> None:
    runs(3)
    runs(5, content)
    assert durations.newest(runs.path) == {"t0": 3.5, "t1": 3.5}


def test_a_verdict_that_cannot_be_read_is_skipped(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, *flags: int) -> int:
        if path == secret:
            raise PermissionError(13, "Permission denied")
        return opened(path, *flags)

    runs(3)
    secret, opened = runs(5), os.open
    monkeypatch.setattr(os, "open", refuse)
    assert durations.newest(runs.path) == {"t0": 3.5, "t1": 3.5}


# A minimal run: it prints a line, and waits until a signal stops it.
RUN = """
import signal, sys
for number in sys.argv[1].split():
    signal.signal(int(number), signal.SIG_IGN)
for number in sys.argv[2].split():
    signal.signal(int(number), signal.SIG_DFL)
from bsdgate.harness.commands.run import _stoppable
from bsdgate.harness.commands.run_display import RunDisplay
from rich.console import Console
with _stoppable(RunDisplay(Console(), {})):
    print("under way", flush=True)
    while True:
        print(sys.stdin.readline().strip(), flush=True)
"""


@pytest.mark.parametrize("ignored", [signal.SIGHUP, signal.SIGINT])
def test_a_signal_that_was_ignored_at_the_start_stays_ignored(ignored: signal.Signals) -> None:
    with a_run(ignored={ignored}) as popen:
        popen.send_signal(ignored)
        assert popen.stdin
        assert popen.stdout
        popen.stdin.write("still there\n")
        popen.stdin.flush()
        assert popen.stdout.readline() == "still there\n"
        popen.send_signal(signal.SIGTERM)
        assert "KeyboardInterrupt" in popen.communicate(timeout=30)[1]


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
def test_each_of_the_signals_stops_a_run(number: signal.Signals) -> None:
    with a_run(ignored=()) as popen:
        popen.send_signal(number)
        assert "KeyboardInterrupt" in popen.communicate(timeout=30)[1]


@contextlib.contextmanager
def a_run(ignored: Collection[signal.Signals]) -> Iterator[subprocess.Popen[str]]:
    """Start the run with only these signals ignored, independent of pytest's own signals."""
    all_three = {signal.SIGHUP, signal.SIGINT, signal.SIGTERM}
    both = (ignored, all_three.difference(ignored))
    words = [" ".join(str(int(each)) for each in some) for some in both]
    command = [sys.executable, "-c", RUN, *words]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as popen:
        try:
            assert popen.stdout
            assert popen.stdout.readline() == "under way\n"
            yield popen
        finally:
            popen.kill()
