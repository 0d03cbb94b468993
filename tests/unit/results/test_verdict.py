# SPDX-License-Identifier: Apache-2.0
import random
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bsdgate.results.expectations import Expectation, Expectations
from bsdgate.results.model import (
    Attempt,
    Case,
    Cause,
    Code,
    Evidence,
    Kind,
    Level,
    Outcome,
    Result,
    Run,
    State,
    Verdict,
    error,
)
from bsdgate.results.policy import GATE
from bsdgate.results.verdict import judge

RUN = Run("1234", datetime(2026, 11, 22, 12, tzinfo=UTC))
POOL = [f"m.{name}.{test}" for name in "ABC" for test in ("one", "two[id-1,smoke]")]
RANK = [Result.PASS, Result.FAIL, Result.ERROR]


def attempt(
    reports: list[Case], asked: list[str] | None = None, name: str = "01-tempest", **fields: Any
) -> Attempt:
    whole = {"kind": Kind.TEMPEST, "state": State.ENDED, "exit_status": 0, **fields}
    asked = asked if asked is not None else [report.id for report in reports]
    return Attempt(name=name, asked=tuple(asked), reports=tuple(reports), **whole)


def evidence(
    *attempts: Attempt, owed: tuple[Kind, ...] = (Kind.TEMPEST,), problems: tuple[()] = ()
) -> Evidence:
    return Evidence(RUN, frozenset(owed), attempts, problems)


def known(test: str, expires: date = date(2027, 1, 1)) -> Expectation:
    return Expectation(
        test,
        bug="https://b/1",
        owner="jane",
        reason="why",
        since=date(2026, 1, 1),
        expires=expires,
    )


ONE = Case("m.A.one", Outcome.SUCCESS)
BAD = Case("m.A.two", Outcome.FAIL)


def codes(verdict: Verdict, level: Level) -> list[Code]:
    return [reason.code for reason in verdict.reasons if reason.level is level]


def test_success_of_all_asked_tests_passes() -> None:
    assert judge(evidence(attempt([ONE]))).result is Result.PASS


def test_a_failed_test_fails_the_verdict() -> None:
    verdict = judge(evidence(attempt([ONE, BAD])))
    assert verdict.result is Result.FAIL
    assert [(reason.code, reason.ids) for reason in verdict.reasons] == [
        (Code.TESTS_FAILED, ("m.A.two",))
    ]


def test_an_error_overrides_a_failure_and_the_failure_is_still_listed() -> None:
    verdict = judge(evidence(attempt([ONE, BAD], asked=["m.A.one", "m.A.two", "m.B.one"])))
    assert verdict.result is Result.ERROR
    assert codes(verdict, Level.FAIL) == [Code.TESTS_FAILED]


def test_no_evidence_is_an_error() -> None:
    assert codes(judge(evidence()), Level.ERROR) == [Code.NO_EVIDENCE]


def test_a_missing_kind_of_required_evidence_is_an_error() -> None:
    verdict = judge(evidence(attempt([ONE]), owed=(Kind.TEMPEST, Kind.RALLY)))
    assert codes(verdict, Level.ERROR) == [Code.EVIDENCE_LOST]


def test_a_failed_tear_down_fails_the_verdict() -> None:
    found = attempt([ONE, Case("tearDownClass (m.A)", Outcome.FAIL)], asked=["m.A.one"])
    assert codes(judge(evidence(found)), Level.FAIL) == [Code.SETUP_FAILED]


@pytest.mark.parametrize(
    ("errors", "cause"), [((), Cause.UNKNOWN), ((Code.NODE_LOST,), Cause.NODE)], ids=str
)
def test_a_failed_tear_down_on_a_lost_node_has_the_cause_node(
    errors: tuple[Code, ...], cause: Cause
) -> None:
    found = attempt([ONE, Case("tearDownClass (m.A)", Outcome.FAIL)], asked=["m.A.one"])
    problems = tuple(error(code, "the node does not answer") for code in errors)
    verdict = judge(replace(evidence(found), problems=problems))
    assert [(each.id, each.cause) for each in verdict.dispositions] == [
        ("tearDownClass (m.A)", cause)
    ]


def test_a_known_failure_is_excused_and_reported() -> None:
    verdict = judge(evidence(attempt([ONE, BAD])), [known("m.A.two")])
    assert verdict.result is Result.PASS
    assert (verdict.counts["known-failure"], verdict.counts["xfail"]) == (1, 0)
    assert codes(verdict, Level.NOTE) == [Code.KNOWN_FAILURE]
    assert "https://b/1" in (verdict.cases[1].reason or "")


def test_an_expired_entry_excuses_nothing() -> None:
    verdict = judge(evidence(attempt([ONE, BAD])), [known("m.A.two", date(2026, 11, 21))])
    assert verdict.result is Result.FAIL
    assert codes(verdict, Level.NOTE) == [Code.EXPECTATION_EXPIRED]


def test_a_valid_entry_excuses_a_failure_beside_an_expired_one() -> None:
    entries = [known("m.A.two", date(2026, 1, 1)), known("m.A.*")]
    assert judge(evidence(attempt([Case("m.B.one", Outcome.SUCCESS), BAD])), entries).result == (
        Result.PASS
    )


def test_a_known_failure_that_passes_is_reported_and_fails_the_gate() -> None:
    found = evidence(attempt([ONE]))
    developer, gate = judge(found, [known("m.A.one")]), judge(found, [known("m.A.one")], GATE)
    assert (developer.result, gate.result) == (Result.PASS, Result.FAIL)
    assert developer.counts["known-failure-passed"] == 1
    assert codes(developer, Level.NOTE) == [Code.UNEXPECTED_SUCCESS]


def test_an_unexpected_success_fails_the_verdict() -> None:
    verdict = judge(evidence(attempt([ONE, Case("m.B.one", Outcome.UXSUCCESS)])))
    assert verdict.result is Result.FAIL


def test_no_entry_excuses_a_lost_test() -> None:
    verdict = judge(evidence(attempt([ONE], asked=["m.A.one", "m.A.two"])), [known("m.*")])
    assert verdict.result is Result.ERROR


@pytest.mark.parametrize("pattern", ["setUpClass (m.B)", "m.B.*"])
def test_a_class_fixture_is_excused_by_its_id_or_by_all_tests_of_its_class(pattern: str) -> None:
    found = attempt([ONE, Case("setUpClass (m.B)", Outcome.FAIL)], asked=["m.A.one", "m.B.one"])
    entries = [known(pattern), known("m.B.one")]
    assert judge(evidence(found), entries).result is Result.PASS


def test_one_excused_test_does_not_excuse_its_class_fixture() -> None:
    found = attempt(
        [ONE, Case("setUpClass (m.B)", Outcome.FAIL)], asked=["m.A.one", "m.B.one", "m.B.two"]
    )
    assert judge(evidence(found), [known("m.B.one")]).result is Result.FAIL


def test_each_result_has_its_exit_code() -> None:
    assert [result.exit_code for result in RANK] == [0, 1, 3]


outcomes = st.sampled_from(
    [Outcome.SUCCESS, Outcome.FAIL, Outcome.SKIP, Outcome.XFAIL, Outcome.UXSUCCESS]
)


@st.composite
def whole_evidence(draw: st.DrawFn) -> Evidence:
    """Generate one or two attempts in which each asked test has exactly one report."""
    tests = draw(st.lists(st.sampled_from(POOL), unique=True, min_size=2))
    border = draw(st.integers(1, len(tests)))
    attempts = [
        attempt([Case(test, draw(outcomes)) for test in part], name=f"{number:02}-tempest")
        for number, part in enumerate((tests[:border], tests[border:]), 1)
        if part
    ]
    return evidence(*attempts)


@st.composite
def any_evidence(draw: st.DrawFn) -> Evidence:
    """Generate evidence with problems of all kinds."""
    strange = ["setUpClass (m.A)", "tearDownClass (m.B)", "process-returncode", "x.unasked"]
    reports = st.builds(Case, st.sampled_from(POOL + strange), outcomes)
    statuses = st.sampled_from([0, 1, 2, None])
    attempts = [
        attempt(
            draw(st.lists(reports, max_size=8)),
            asked=draw(st.lists(st.sampled_from(POOL), max_size=6)),
            name=f"{number:02}-attempt",
            kind=draw(st.sampled_from(Kind)),
            state=draw(st.sampled_from(State)),
            exit_status=draw(statuses),
            problems=draw(st.sampled_from([(), (error(Code.TRUNCATED, "cut"),)])),
        )
        for number in range(1, draw(st.integers(0, 3)) + 1)
    ]
    return evidence(*attempts)


entries = st.lists(st.builds(known, st.sampled_from([*POOL, "m.A.*", "*"])), max_size=3)


@given(st.one_of(whole_evidence(), any_evidence()), entries, st.randoms(use_true_random=False))
def test_the_order_of_evidence_does_not_matter(
    found: Evidence, known_failures: list[Expectation], rng: random.Random
) -> None:
    shuffled = [
        # The order of reports is significant in an interrupted attempt.
        one
        if one.state is State.INTERRUPTED
        else replace(one, reports=tuple(rng.sample(one.reports, len(one.reports))))
        for one in found.attempts
    ]
    rng.shuffle(shuffled)
    mixed = replace(found, attempts=tuple(shuffled))
    shuffled_entries = rng.sample(known_failures, len(known_failures))
    assert judge(mixed, shuffled_entries) == judge(found, known_failures)


@given(st.one_of(whole_evidence(), any_evidence()))
def test_each_asked_id_has_exactly_one_case(found: Evidence) -> None:
    verdict = judge(found)
    asked = {test for one in found.attempts for test in one.asked}
    assert [case.id for case in verdict.cases] == sorted(asked)


@given(any_evidence(), entries)
def test_reasons_are_sorted_by_level(found: Evidence, known_failures: list[Expectation]) -> None:
    levels = [list(Level).index(one.level) for one in judge(found, known_failures).reasons]
    assert levels == sorted(levels)


def worse(found: Evidence, entries: list[Expectation], changed: Evidence) -> bool:
    before, after = judge(found, entries).result, judge(changed, entries).result
    return RANK.index(after) >= RANK.index(before)


def with_reports(found: Evidence, number: int, reports: list[Case]) -> Evidence:
    attempts = list(found.attempts)
    attempts[number] = replace(attempts[number], reports=tuple(reports))
    return replace(found, attempts=tuple(attempts))


@given(whole_evidence(), entries, st.data())
def test_losing_evidence_never_improves_a_verdict(
    found: Evidence, known_failures: list[Expectation], data: st.DataObject
) -> None:
    number = data.draw(st.sampled_from(range(len(found.attempts))))
    reports = found.attempts[number].reports
    kept = data.draw(st.lists(st.sampled_from(reports), unique=True, max_size=len(reports) - 1))
    changed = with_reports(found, number, kept)
    assert worse(found, known_failures, changed)
    assert judge(changed, known_failures).result is Result.ERROR


@given(whole_evidence(), entries, st.data())
def test_turning_an_outcome_into_a_failure_never_improves_a_verdict(
    found: Evidence, known_failures: list[Expectation], data: st.DataObject
) -> None:
    number = data.draw(st.sampled_from(range(len(found.attempts))))
    reports = list(found.attempts[number].reports)
    place = data.draw(st.sampled_from(range(len(reports))))
    # A failure with an entry is excused, so it is not considered.
    assume(not Expectations(known_failures).of(reports[place].id))
    # If all tests were skipped, a failure is the first test that ran.
    assume(judge(found, known_failures).result is not Result.ERROR)
    reports[place] = replace(reports[place], outcome=Outcome.FAIL)
    assert worse(found, known_failures, with_reports(found, number, reports))


@given(any_evidence(), entries, st.data())
def test_an_added_failure_never_makes_a_pass_of_another_result(
    found: Evidence, known_failures: list[Expectation], data: st.DataObject
) -> None:
    assume(found.attempts and judge(found, known_failures).result is not Result.PASS)
    number = data.draw(st.sampled_from(range(len(found.attempts))))
    added = data.draw(st.sampled_from([*POOL, "setUpClass (m.A)", "tearDownClass (m.C)", "z"]))
    assume(not Expectations(known_failures).of(added))
    reports = [*found.attempts[number].reports, Case(added, Outcome.FAIL)]
    assert judge(with_reports(found, number, reports), known_failures).result is not Result.PASS


@given(st.one_of(whole_evidence(), any_evidence()), entries)
def test_an_added_problem_is_always_an_error(
    found: Evidence, known_failures: list[Expectation]
) -> None:
    changed = replace(found, problems=(error(Code.DAMAGED, "x"),))
    assert judge(changed, known_failures).result is Result.ERROR
