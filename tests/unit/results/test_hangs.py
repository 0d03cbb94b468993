# SPDX-License-Identifier: Apache-2.0
"""Tests that were in progress at the time limit of all tests."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bsdgate.results.agreement import contradictions
from bsdgate.results.expectations import Expectation
from bsdgate.results.model import (
    Attempt,
    Case,
    Cause,
    Code,
    Evidence,
    Kind,
    Level,
    Outcome,
    Reason,
    Result,
    Run,
    Side,
    Source,
    State,
    Verdict,
    error,
)
from bsdgate.results.policy import POLICIES
from bsdgate.results.problems import CODES
from bsdgate.results.verdict import Remembered, judge

RUN = Run("1234", datetime(2026, 11, 22, 12, tzinfo=UTC), sources=(Source("keystone", "30.0.0"),))
NOW = datetime(2026, 11, 22, 13, tzinfo=UTC)
DONE, HUNG, OTHER, NEVER = "m.A.done", "m.A.hung", "m.B.hung", "m.C.never"
ASKED = (DONE, HUNG, OTHER, NEVER)
ALARM = "fixtures._fixtures.timeout.TimeoutException"
TRACEBACK = f"""\
traceback:
Traceback (most recent call last):
  File "/x/tempest/test_a.py", line 9, in hung
    self.client.create()
  File "/x/fixtures/_fixtures/timeout.py", line 59, in signal_handler
    raise TimeoutException()
{ALARM}
"""
SUCCESS, FAIL, SKIP = Outcome.SUCCESS, Outcome.FAIL, Outcome.SKIP
FIRST = (Case(DONE, SUCCESS),)
TIME_LIMIT_REACHED = error(Code.TIME_LIMIT, "the tests did not end within 20 s")


def in_progress(*ids: str) -> Reason:
    return error(Code.IN_PROGRESS, f"{len(ids)} began and never ended", ids)


def attempt(
    name: str,
    reports: Sequence[Case],
    asked: Sequence[str],
    **fields: Any,
) -> Attempt:
    whole: dict[str, Any] = {
        "kind": Kind.TEMPEST,
        "state": State.ENDED,
        "exit_status": 0,
        "test_timeout": 5,
    }
    return Attempt(name=name, asked=tuple(asked), reports=tuple(reports), **whole | fields)


def limited(
    *begun: str,
    reports: Sequence[Case] = FIRST,
    asked: tuple[str, ...] = ASKED,
    also: tuple[Reason, ...] = (),
    **fields: int,
) -> Attempt:
    """Return the attempt that reached the time limit; a signal ended its runner."""
    problems = (
        (TIME_LIMIT_REACHED, in_progress(*begun), *also) if begun else (TIME_LIMIT_REACHED, *also)
    )
    ended = {"exit_status": -15, "problems": problems}
    return attempt("02-tempest", reports, asked, **ended | fields)


def timed_out(test_id: str = HUNG) -> Case:
    return Case(test_id, FAIL, reason=ALARM, details=TRACEBACK)


def passed(test_id: str = HUNG) -> Case:
    return Case(test_id, SUCCESS)


def failed(test_id: str = HUNG) -> Case:
    return Case(test_id, FAIL, reason="MismatchError: 1 != 2", details="traceback:\nMismatch")


def still_going(test_id: str = HUNG) -> Case:
    """Return the case of a rerun in which the test was in progress at the time limit."""
    return Case(test_id, Outcome.MISSING)


def again(
    side: Side, *outcomes: Case, first: int = 3, asked: tuple[str, ...] | None = None, **fields: Any
) -> list[Attempt]:
    """Return attempts that run a test again, one for each outcome."""
    found = []
    for number, case in enumerate(outcomes, first):
        name, ids = f"{number:02}-confirm-{side}", asked or (case.id,)
        whole: dict[str, Any] = {"side": side, "confirms": "02-tempest"}
        if case.outcome is Outcome.MISSING:
            whole |= {"problems": (TIME_LIMIT_REACHED, in_progress(case.id)), "exit_status": -15}
        reports = () if case.outcome is Outcome.MISSING else (case,)
        found.append(attempt(name, reports, ids, **whole | fields))
    return found


def change(*outcomes: Case, **fields: Any) -> list[Attempt]:
    return again(Side.CHANGE, *outcomes, **fields)


def base(*outcomes: Case, **fields: Any) -> list[Attempt]:
    return again(Side.BASE, *outcomes, **{"first": 5} | fields)


def verdict_of(
    *attempts: Attempt, run: Run = RUN, policy: str = "developer", **options: Any
) -> Verdict:
    evidence = Evidence(run, frozenset({Kind.TEMPEST}), tuple(attempts))
    verdict = judge(evidence, policy=POLICIES[policy], **options)
    assert list(contradictions(verdict, NOW)) == []
    return verdict


def levels(verdict: Verdict) -> dict[Code, tuple[Level, tuple[str, ...]]]:
    return {reason.code: (reason.level, reason.ids) for reason in verdict.reasons}


def causes(verdict: Verdict) -> dict[str, Cause]:
    return {one.id: one.cause for one in verdict.dispositions if one.signature}


HANGS = change(timed_out(), timed_out())
ENDS = base(passed(), passed())


@pytest.mark.parametrize("policy", POLICIES)
def test_a_hang_because_of_the_change_is_a_failure(policy: str) -> None:
    verdict = verdict_of(limited(HUNG), *HANGS, *ENDS, policy=policy)
    assert verdict.result is Result.FAIL
    assert causes(verdict) == {HUNG: Cause.CHANGE}
    assert levels(verdict) == {
        Code.TIME_LIMIT: (Level.FAIL, ()),
        Code.TESTS_FAILED: (Level.FAIL, (HUNG,)),
        Code.UNFINISHED: (Level.FAIL, (OTHER, NEVER)),
    }
    assert "02-tempest: the tests did not end within 20 s" in str(verdict.reasons)
    (case,) = [case for case in verdict.cases if case.id == HUNG]
    assert (case.outcome, case.reason) == (FAIL, "did not end within 5 s")
    assert case.details == TRACEBACK


def test_a_test_in_progress_in_all_reruns_is_a_hang() -> None:
    verdict = verdict_of(limited(HUNG), *change(still_going(), still_going()), *ENDS)
    assert (verdict.result, causes(verdict)) == (Result.FAIL, {HUNG: Cause.CHANGE})
    (case,) = [case for case in verdict.cases if case.id == HUNG]
    assert (case.outcome, case.reason) == (FAIL, "did not end within 5 s")


def test_a_test_that_fails_and_ends_on_the_base_hangs_because_of_the_change() -> None:
    verdict = verdict_of(limited(HUNG), *HANGS, *base(failed(), failed()))
    assert (verdict.result, causes(verdict)) == (Result.FAIL, {HUNG: Cause.CHANGE})


def test_a_hang_of_the_only_test_is_a_failure() -> None:
    verdict = verdict_of(limited(HUNG, reports=(), asked=(HUNG,)), *HANGS, *ENDS)
    assert (verdict.result, causes(verdict)) == (Result.FAIL, {HUNG: Cause.CHANGE})
    assert Code.UNFINISHED not in levels(verdict)


@pytest.mark.parametrize(
    "on_the_base",
    [(timed_out(), timed_out()), (still_going(), still_going()), (timed_out(), still_going())],
)
def test_a_hang_on_both_builds_has_the_cause_base_and_is_an_error(
    on_the_base: tuple[Case, Case],
) -> None:
    verdict = verdict_of(limited(HUNG), *HANGS, *base(*on_the_base))
    assert (verdict.result, causes(verdict)) == (Result.ERROR, {HUNG: Cause.BASE})
    found = levels(verdict)
    assert found[Code.TIME_LIMIT] == (Level.ERROR, ())
    assert found[Code.LOST_TEST] == (Level.ERROR, (OTHER, NEVER))
    assert Code.TESTS_FAILED not in found


@pytest.mark.parametrize(
    "confirmations",
    [
        [],
        HANGS,
        HANGS[:1] + ENDS,
        HANGS + ENDS[:1],
        change(passed(), passed()) + ENDS,
        change(timed_out(), passed()) + ENDS,
        change(failed(), failed()) + ENDS,
        change(timed_out(), failed()) + ENDS,
        HANGS + base(passed(), timed_out()),
        HANGS + base(Case(HUNG, SKIP), Case(HUNG, SKIP)),
        ENDS,
        # A rerun reached the time limit before the test started.
        change(still_going(), still_going(), problems=(TIME_LIMIT_REACHED,)) + ENDS,
        HANGS + base(still_going(), still_going(), problems=(TIME_LIMIT_REACHED,)),
        # A success in an interrupted rerun contradicts the hang.
        [*HANGS, *change(passed(), first=7, state=State.INTERRUPTED), *ENDS],
    ],
)
def test_with_other_confirmations_the_result_is_an_error(confirmations: list[Attempt]) -> None:
    verdict = verdict_of(limited(HUNG), *confirmations)
    assert verdict.result is Result.ERROR
    assert Cause.CHANGE not in causes(verdict).values()
    assert levels(verdict)[Code.TIME_LIMIT][0] is Level.ERROR


def test_one_rerun_is_not_enough_for_a_hang() -> None:
    verdict = verdict_of(limited(HUNG), *HANGS[:1], *ENDS)
    assert causes(verdict) == {}
    assert levels(verdict)[Code.LOST_TEST] == (Level.ERROR, (HUNG, OTHER, NEVER))


def test_a_rerun_at_its_time_limit_before_the_test_started_is_a_note() -> None:
    late = change(still_going(), problems=(TIME_LIMIT_REACHED,))
    level, ids = levels(verdict_of(limited(HUNG), *late))[Code.NOT_CONFIRMED]
    assert (level, ids) == (Level.NOTE, (HUNG,))


def test_without_a_change_a_repeated_hang_has_the_cause_base_and_is_an_error() -> None:
    verdict = verdict_of(limited(HUNG), *HANGS, run=replace(RUN, sources=()))
    assert (verdict.result, causes(verdict)) == (Result.ERROR, {HUNG: Cause.BASE})


def test_one_hang_of_two_tests_in_progress_is_enough_for_a_failure() -> None:
    both = [
        replace(one, asked=(HUNG, OTHER), reports=(*one.reports, passed(OTHER)))
        for one in (*HANGS, *ENDS)
    ]
    verdict = verdict_of(limited(HUNG, OTHER), *both)
    assert (verdict.result, causes(verdict)) == (Result.FAIL, {HUNG: Cause.CHANGE})
    assert levels(verdict)[Code.UNFINISHED] == (Level.FAIL, (OTHER, NEVER))


def test_failures_before_the_time_limit_are_listed_with_an_unknown_cause() -> None:
    reports = (Case(DONE, FAIL, reason="MismatchError: 1 != 2"),)
    verdict = verdict_of(limited(HUNG, reports=reports), *HANGS, *ENDS)
    assert causes(verdict) == {DONE: Cause.UNKNOWN, HUNG: Cause.CHANGE}
    assert levels(verdict)[Code.TESTS_FAILED] == (Level.FAIL, (DONE, HUNG))


@pytest.mark.parametrize(
    "also",
    [
        error(Code.SERVICE_DIED, "nova died"),
        error(Code.DIGEST_MISMATCH, "stream.subunit does not have the recorded sha256"),
        error(Code.TRUNCATED, "the stream has no seal: its end is missing"),
        error(Code.FOREIGN_EVIDENCE, "the stream is that of another run"),
        error(Code.DAMAGED, "bytes between packets"),
        error(Code.HARNESS_PROBLEM, "a problem of old evidence"),
    ],
    ids=lambda reason: reason.code,
)
def test_another_problem_beside_a_hang_is_an_error(also: Reason) -> None:
    assert verdict_of(limited(HUNG, also=(also,)), *HANGS, *ENDS).result is Result.ERROR
    stopped = change(still_going(), still_going())
    for confirmations in ((*HANGS, *ENDS), (*stopped, *ENDS)):
        for broken in confirmations:
            harmed = replace(broken, problems=(*broken.problems, also))
            found = [harmed if one is broken else one for one in confirmations]
            assert verdict_of(limited(HUNG), *found).result is Result.ERROR


def test_a_lost_kind_of_evidence_beside_a_hang_is_an_error() -> None:
    owed = frozenset({Kind.TEMPEST, Kind.HOSTCHECKS})
    found = Evidence(RUN, owed, (limited(HUNG), *HANGS, *ENDS))
    assert judge(found).result is Result.ERROR


def test_a_duplicated_test_beside_a_hang_is_an_error() -> None:
    twice = (passed(DONE), failed(DONE))
    assert verdict_of(limited(HUNG, reports=twice), *HANGS, *ENDS).result is Result.ERROR


def test_a_lost_test_of_another_attempt_beside_a_hang_is_an_error() -> None:
    first = attempt("01-tempest", [passed("m.X.done")], ["m.X.done", "m.X.lost"])
    verdict = verdict_of(first, limited(HUNG), *HANGS, *ENDS)
    assert verdict.result is Result.ERROR
    assert levels(verdict)[Code.LOST_TEST] == (Level.ERROR, (OTHER, NEVER, "m.X.lost"))


def test_a_test_that_ended_in_an_earlier_attempt_is_not_a_hang() -> None:
    first = attempt("01-tempest", [passed()], [HUNG])
    verdict = verdict_of(first, limited(HUNG), *HANGS, *ENDS)
    assert (verdict.result, causes(verdict)) == (Result.ERROR, {})


def test_a_rerun_of_a_test_that_was_not_in_progress_is_an_error() -> None:
    strange = change(timed_out(NEVER), timed_out(NEVER))
    verdict = verdict_of(limited(HUNG), *strange, *base(passed(NEVER), passed(NEVER)))
    assert verdict.result is Result.ERROR
    assert Code.UNASKED in levels(verdict)


def test_an_unasked_test_in_progress_is_not_a_hang() -> None:
    strange = [
        replace(one, problems=(TIME_LIMIT_REACHED, in_progress("m.X.strange")))
        for one in (*HANGS, *ENDS)
    ]
    verdict = verdict_of(limited("m.X.strange"), *strange)
    assert (verdict.result, causes(verdict)) == (Result.ERROR, {})


def test_with_a_later_attempt_the_result_is_an_error() -> None:
    later = attempt("03-tempest", [passed(one) for one in ASKED[1:]], ASKED[1:])
    found = [*change(timed_out(), timed_out(), first=4), *base(passed(), passed(), first=6)]
    verdict = verdict_of(limited(HUNG), later, *found)
    assert verdict.result is Result.ERROR
    assert causes(verdict) == {}


def test_a_known_failure_does_not_excuse_a_hang() -> None:
    entry = Expectation(
        "*",
        bug="https://b/1",
        owner="jane",
        reason="why",
        since=date(2026, 1, 1),
        expires=date(2027, 1, 1),
    )
    verdict = verdict_of(limited(HUNG), *HANGS, *ENDS, expectations=[entry])
    assert (verdict.result, causes(verdict)) == (Result.FAIL, {HUNG: Cause.CHANGE})


def test_a_hang_in_a_run_with_a_selection_is_an_error_under_the_gate_policy() -> None:
    narrowed = replace(RUN, selection="m")
    verdict = verdict_of(limited(HUNG), *HANGS, *ENDS, run=narrowed, policy="gate")
    assert (verdict.result, causes(verdict)) == (Result.ERROR, {HUNG: Cause.CHANGE})


def test_the_order_of_attempts_does_not_matter() -> None:
    found = [limited(HUNG), *HANGS, *ENDS]
    assert verdict_of(*found) == verdict_of(*reversed(found))


@pytest.mark.parametrize("backwards", [False, True])
def test_with_a_second_attempt_at_its_time_limit_the_result_is_an_error(backwards: bool) -> None:
    first = attempt("01-tempest", [], ASKED, problems=(TIME_LIMIT_REACHED,), exit_status=-15)
    found = [first, limited(HUNG), *HANGS, *ENDS]
    verdict = verdict_of(*(reversed(found) if backwards else found))
    assert verdict.result is Result.ERROR


def test_tests_that_did_not_run_because_of_a_hang_are_not_reported_as_fewer() -> None:
    earlier = Remembered(ran=frozenset(ASKED), same_versions=True)
    verdict = verdict_of(limited(HUNG), *HANGS, *ENDS, earlier=earlier)
    assert verdict.result is Result.FAIL
    assert Code.FEWER_RAN not in levels(verdict)


def test_a_time_limit_with_complete_evidence_is_an_error() -> None:
    """The last test ended at the time limit, or attempt.json was edited."""
    whole = limited(reports=[passed(one) for one in ASKED], exit_status=0)
    assert verdict_of(whole).result is Result.ERROR
    assert verdict_of(whole, *HANGS, *ENDS).result is Result.ERROR


def test_a_failure_by_the_time_limit_of_a_test_is_confirmed_like_others() -> None:
    first = attempt("02-tempest", [passed(DONE), timed_out()], (DONE, HUNG))
    assert causes(verdict_of(first, *HANGS, *ENDS)) == {HUNG: Cause.CHANGE}
    verdict = verdict_of(first, *HANGS, *base(timed_out(), timed_out()))
    assert (verdict.result, causes(verdict)) == (Result.PASS, {HUNG: Cause.BASE})


def test_a_base_at_its_time_limit_excuses_no_failure() -> None:
    """At its time limit the base had not shown the same failure as the change."""
    first = attempt("02-tempest", [passed(DONE), timed_out()], (DONE, HUNG))
    verdict = verdict_of(first, *HANGS, *base(still_going(), still_going()))
    assert (verdict.result, causes(verdict)) == (Result.FAIL, {HUNG: Cause.UNKNOWN})


CASES = st.sampled_from([passed(), failed(), timed_out(), still_going(), Case(HUNG, SKIP)])
PROBLEMS = st.lists(
    st.sampled_from([*(error(code, "x") for code in sorted(CODES)), in_progress(HUNG)]),
    max_size=2,
).map(tuple)


@given(
    st.lists(CASES, max_size=3),
    st.lists(CASES, max_size=3),
    PROBLEMS,
    st.sampled_from([(), (HUNG,), (HUNG, OTHER)]),
    st.lists(st.sampled_from(ASKED), unique=True),
)
def test_no_run_that_reached_the_time_limit_passes(
    with_change: list[Case],
    on_base: list[Case],
    also: tuple[Reason, ...],
    begun: tuple[str, ...],
    reported: list[str],
) -> None:
    first = limited(*begun, also=also, reports=[passed(one) for one in reported])
    attempts = [first, *change(*with_change, first=10), *base(*on_base, first=20)]
    for policy in POLICIES:
        assert verdict_of(*attempts, policy=policy).result is not Result.PASS
