# SPDX-License-Identifier: Apache-2.0
"""bsdgate.results.reproduction: the differences between a run and its reproduction."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bsdgate.results.model import Case, Disposition, Outcome, Result, Run, Source, Verdict
from bsdgate.results.reproduction import SHOWN, differences, failed

BEGAN = datetime(2026, 11, 29, tzinfo=UTC)
RUN = Run(
    "run",
    BEGAN,
    sources=(Source("nova", "31.0.1", "../nova", "sha256:1"),),
    versions={"nova": "31.0.1"},
)


def case(name: str, worker: str, second: int, outcome: Outcome = Outcome.SUCCESS) -> Case:
    return Case(name, outcome, BEGAN + timedelta(seconds=second), 0.5, worker)


CASES = (
    case("a", "worker-0", 0),
    case("b", "worker-1", 1, Outcome.FAIL),
    case("c", "worker-0", 2),
    Case("check", Outcome.SUCCESS),
)
FAILED = Disposition("b", counts=True)
BEFORE = Verdict(RUN, Result.FAIL, (), CASES, dispositions=(FAILED,))


def changed(*cases: Case) -> Verdict:
    """Return the verdict with other results for these tests."""
    by_id = {each.id: each for each in (*CASES, *cases)}
    return replace(BEFORE, cases=tuple(by_id.values()))


def test_the_same_run_at_another_time_has_no_differences() -> None:
    later = [replace(each, started=each.started and each.started + timedelta(1)) for each in CASES]
    assert differences(BEFORE, changed(*later)) == []


def test_the_order_between_workers_is_not_compared() -> None:
    assert differences(BEFORE, changed(case("b", "worker-1", 9, Outcome.FAIL))) == []


@pytest.mark.parametrize(
    ("after", "line"),
    [
        (replace(BEFORE, result=Result.PASS), "the result was FAIL, and is PASS"),
        (replace(BEFORE, cases=CASES[1:]), "not in the second run: a"),
        (changed(case("new", "worker-0", 3)), "only in the second run: new"),
        (changed(case("b", "worker-1", 1)), "b was fail, and is success"),
        (changed(case("a", "worker-1", 0)), "worker 0 ran other tests (2, and now 1)"),
        (
            changed(case("a", "worker-0", 5)),
            "worker 0 ran its tests in another order, from c",
        ),
        (
            replace(BEFORE, run=replace(RUN, versions={"nova": "31.0.2"})),
            "nova was 31.0.1, and is 31.0.2",
        ),
        (replace(BEFORE, run=replace(RUN, versions={})), "nova was 31.0.1, and is absent"),
        (
            replace(BEFORE, run=replace(RUN, sources=(Source("nova", identity="sha256:2"),))),
            "the source of nova was sha256:1, and is sha256:2",
        ),
    ],
)
def test_each_difference_has_a_line(after: Verdict, line: str) -> None:
    assert line in differences(BEFORE, after)


def test_many_differences_are_counted() -> None:
    more = [case(f"new-{number}", "worker-2", number) for number in range(SHOWN + 3)]
    first = differences(BEFORE, changed(*more))[0]
    assert first.endswith("new-4 and 3 more")


def test_only_failed_tests_are_compared() -> None:
    part = replace(BEFORE, cases=CASES[1:2])
    assert differences(BEFORE, part, failed_only=True) == []
    assert differences(BEFORE, replace(part, cases=()), failed_only=True) != []


def test_the_tests_of_a_failed_fixture_have_failed() -> None:
    fixture = Disposition("setUpClass (C)", counts=True, tests=("a", "c"))
    excused = Disposition("b", counts=False)
    assert failed(replace(BEFORE, dispositions=(fixture, excused))) == ["a", "c"]
