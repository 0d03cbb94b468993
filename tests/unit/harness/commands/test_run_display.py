# SPDX-License-Identifier: Apache-2.0
"""The display of a run, with and without a terminal."""

import io

import pytest
from rich.console import Console

from bsdgate.harness.commands.run_display import RunDisplay, raised
from bsdgate.results.parsers.subunit import StatusEvent

IDS = ("a.b.C.test_one[id-1]", "a.b.C.test_two[id-2]", "a.b.C.test_three")
DETAILS = """\
traceback:
Traceback (most recent call last):
  File "x.py", line 1, in f
    g()
ValueError: seven

pythonlogging:
  Body: None
"""


def shown(display: RunDisplay, console: Console) -> str:
    display.end()
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=60)


@pytest.fixture
def display(console: Console) -> RunDisplay:
    display = RunDisplay(console, {IDS[0]: 2.0, IDS[1]: 4.0})
    display.tests_begin(IDS, 2)
    return display


def test_a_failure_is_shown_at_once_with_its_id_in_one_line_and_its_cause(
    display: RunDisplay, console: Console
) -> None:
    display.test(StatusEvent(IDS[0], "inprogress"))
    display.test(StatusEvent(IDS[0], "fail", details=DETAILS))
    lines = shown(display, console).splitlines()
    assert any("fail" in line and line.endswith(IDS[0]) for line in lines)
    assert any("ValueError: seven" in line for line in lines)


def test_the_count_is_of_tests_not_of_events(display: RunDisplay, console: Console) -> None:
    for status in ("inprogress", "success"):
        display.test(StatusEvent(IDS[0], status))
    display.test(StatusEvent("setUpClass (a.b.C)", "skip"))
    display.tests_end()
    assert "3 of 3 done: 2 skip, 1 success" in shown(display, console)


def test_a_test_that_was_not_requested_is_not_counted(
    display: RunDisplay, console: Console
) -> None:
    display.test(StatusEvent("process-returncode", "fail"))
    display.test(StatusEvent("x.y.Z.other", "success"))
    display.test(StatusEvent("tearDownClass (x.y.Z)", "fail"))
    display.tests_end()
    assert "0 of 3 done: none yet" in shown(display, console)


def test_control_characters_are_not_printed(display: RunDisplay, console: Console) -> None:
    display.test(StatusEvent("a.\x1b[31mred[bold]", "fail", reason="\x1b[2J"))
    output = shown(display, console)
    assert "\x1b" not in output
    assert "red[bold]" in output


def test_the_remaining_time_is_estimated_from_an_earlier_run(display: RunDisplay) -> None:
    assert display._seconds_left() == pytest.approx((2 + 4 + 3) / 2)
    display.test(StatusEvent(IDS[1], "success"))
    assert display._seconds_left() == pytest.approx((2 + 2) / 2)


def test_without_an_earlier_run_there_is_no_estimate(console: Console) -> None:
    display = RunDisplay(console, {})
    display.tests_begin(IDS, 2)
    assert display._seconds_left() is None


def test_on_a_terminal_running_tests_are_shown_with_their_duration() -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    display = RunDisplay(console, {})
    display.tests_begin(IDS, 2)
    display.test(StatusEvent(IDS[2], "inprogress"))
    console.print(display._view())
    assert f"0 s  {IDS[2]}" in shown(display, console)


@pytest.mark.parametrize(
    ("details", "line"),
    [(DETAILS, "ValueError: seven"), ("no trace", ""), ("", "")],
)
def test_the_exception_is_found_among_the_details(details: str, line: str) -> None:
    assert raised(details) == line
