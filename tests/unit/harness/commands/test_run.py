# SPDX-License-Identifier: Apache-2.0
"""What a run knows of earlier ones before it begins."""

import os

import pytest
from unit.results.store.contract import verdict

from bsdgate.harness.commands.run import durations
from bsdgate.results import document


@pytest.fixture
def runs(tmp_path):
    """A folder of runs; each call adds the run of that hour, with its verdict if there is one."""

    def add(number, content=None, **changes):
        report = tmp_path / f"run-{number}" / "report"
        report.mkdir(parents=True)
        if content is None:
            content = document.render(verdict(number, "ss", **changes)).encode()
        (report / "verdict.json").write_bytes(content)
        os.utime(report / "verdict.json", (number, number))
        return report / "verdict.json"

    add.path = tmp_path
    return add


def test_the_newest_run_of_the_suite_tells_how_long_tests_take(runs):
    runs(3)
    runs(5)
    runs(7, suite="gate")
    assert durations(runs.path, "smoke") == {"t0": 5.5, "t1": 5.5}
    assert durations(runs.path) == {"t0": 7.5, "t1": 7.5}
    assert durations(runs.path, "nightly") == {}


def _dangle(file):
    file.unlink()
    file.symlink_to(file.with_name("nothing"))


def _pipe(file):
    file.unlink()
    os.mkfifo(file)


@pytest.mark.parametrize("spoil", [_dangle, _pipe])
def test_a_verdict_that_is_no_file_is_left_out(runs, spoil):
    runs(3)
    spoil(runs(5))
    assert durations(runs.path) == {"t0": 3.5, "t1": 3.5}


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"{ }", b"[" * 99_999], ids=len)
def test_a_verdict_that_is_none_is_left_out(runs, content):
    runs(3)
    runs(5, content)
    assert durations(runs.path) == {"t0": 3.5, "t1": 3.5}


def test_a_verdict_that_may_not_be_read_is_left_out(runs, monkeypatch):
    def refuse(path, *flags):
        if path == secret:
            raise PermissionError(13, "Permission denied")
        return opened(path, *flags)

    runs(3)
    secret, opened = runs(5), os.open
    monkeypatch.setattr(os, "open", refuse)
    assert durations(runs.path) == {"t0": 3.5, "t1": 3.5}
