# SPDX-License-Identifier: Apache-2.0
"""The limits on reports and timings that are kept of one attempt."""

from collections.abc import Callable

import pytest
from unit.results.conftest import RunDir

from bsdgate.results import attempts
from bsdgate.results.model import Case, Code, Outcome, Reason, Result, Timing


def test_the_number_of_unasked_reports_is_limited(
    run_dir: RunDir, subunit_stream: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "MAX_UNEXPECTED_REPORTS", 10)
    other = [(f"other.{number}", "success") for number in range(20)]
    asked = [("m.A.a", "success"), ("m.A.b", "fail")]
    run_dir.attempt("01-tempest", b"m.A.a\nm.A.b\n", subunit_stream(*other, *asked))
    verdict = run_dir.judge()
    assert verdict.result is Result.ERROR
    (reason,) = (reason for reason in verdict.reasons if reason.code is Code.TOO_LARGE)
    assert "10 reports are left out: more than 10 of tests not requested" in reason.message
    # All requested tests have their outcome, at any position in the stream.
    assert [case.outcome for case in verdict.cases] == ["success", "fail"]


def test_the_number_of_reports_of_one_test_is_limited(
    run_dir: RunDir, subunit_stream: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "MAX_REPORTS_PER_TEST", 3)
    run_dir.attempt("01-tempest", b"a\n", subunit_stream(*[("a", "success")] * 5))
    verdict = run_dir.judge()
    assert verdict.result is Result.ERROR
    assert verdict.cases[0].reason == "reported 3 times: success, success, success"
    (reason,) = (reason for reason in verdict.reasons if reason.code is Code.TOO_LARGE)
    assert "2 reports are left out" in reason.message


def test_without_a_list_the_number_of_ids_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "IDS_BOUND", 2)
    problems: list[Reason] = []
    found = [Case(f"{number}abcd", Outcome.SUCCESS) for number in range(9)]
    assert len(attempts.gather(found, None, problems, [])) == 2
    assert [problem.code for problem in problems] == [Code.TOO_LARGE]


def test_the_number_of_timings_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "TIMINGS_BOUND", 2)
    problems: list[Reason] = []
    timings: list[Timing] = []
    found: list[Case | Timing] = [
        *(Timing(f"a/{number}", 1.0) for number in range(5)),
        Case("a", Outcome.SUCCESS),
    ]
    assert len(attempts.gather(found, ["a"], problems, timings)) == 1
    assert len(timings) == 2
    assert [problem.message for problem in problems] == [
        "3 atomic actions are left out: more than 2"
    ]
