# SPDX-License-Identifier: Apache-2.0
"""Tests that were in progress when the time of all tests was up."""

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
UP = error(Code.TIME_LIMIT, "the tests did not end within 20 s")


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
    """The attempt that ran out of time: its runner was ended by a signal."""
    problems = (UP, in_progress(*begun), *also) if begun else (UP, *also)
    ended = {"exit_status": -15, "problems": problems}
    return attempt("02-tempest", reports, asked, **ended | fields)


def timed_out(test_id: str = HUNG) -> Case:
    return Case(test_id, FAIL, reason=ALARM, details=TRACEBACK)


def passed(test_id: str = HUNG) -> Case:
    return Case(test_id, SUCCESS)


def failed(test_id: str = HUNG) -> Case:
    return Case(test_id, FAIL, reason="MismatchError: 1 != 2", details="traceback:\nMismatch")


def still_going(test_id: str = HUNG) -> Case:
    """What stands for a re-run that was in progress when its own time was up."""
    return Case(test_id, Outcome.MISSING)


def again(
    side: Side, *outcomes: Case, first: int = 3, asked: tuple[str, ...] | None = None, **fields: Any
) -> list[Attempt]:
    """Attempts that run a test again, one for each outcome."""
    found = []
    for number, case in enumerate(outcomes, first):
        name, ids = f"{number:02}-confirm-{side}", asked or (case.id,)
        whole: dict[str, Any] = {"side": side, "confirms": "02-tempest"}
        if case.outcome is Outcome.MISSING:
            whole |= {"problems": (UP, in_progress(case.id)), "exit_status": -15}
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
def test_a_test_that_hangs_because_of_the_change_fails(policy: str) -> None:
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


def test_a_test_that_is_in_progress_each_time_hangs_too() -> None:
    verdict = verdict_of(limited(HUNG), *change(still_going(), still_going()), *ENDS)
    assert (verdict.result, causes(verdict)) == (Result.FAIL, {HUNG: Cause.CHANGE})
    (case,) = [case for case in verdict.cases if case.id == HUNG]
    assert (case.outcome, case.reason) == (FAIL, "did not end within 5 s")


def test_how_the_base_fails_does_not_matter_as_long_as_it_ends() -> None:
    verdict = verdict_of(limited(HUNG), *HANGS, *base(failed(), failed()))
    assert (verdict.result, causes(verdict)) == (Result.FAIL, {HUNG: Cause.CHANGE})


def test_a_run_of_one_test_that_hangs_fails() -> None:
    verdict = verdict_of(limited(HUNG, reports=(), asked=(HUNG,)), *HANGS, *ENDS)
    assert (verdict.result, causes(verdict)) == (Result.FAIL, {HUNG: Cause.CHANGE})
    assert Code.UNFINISHED not in levels(verdict)


@pytest.mark.parametrize(
    "on_the_base",
    [(timed_out(), timed_out()), (still_going(), still_going()), (timed_out(), still_going())],
)
def test_a_test_that_hangs_on_the_base_too_is_not_the_changes(
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
        # The time of a re-run was up before the test had begun.
        change(still_going(), still_going(), problems=(UP,)) + ENDS,
        HANGS + base(still_going(), still_going(), problems=(UP,)),
        # What an attempt said before it was interrupted speaks against.
        [*HANGS, *change(passed(), first=7, state=State.INTERRUPTED), *ENDS],
    ],
)
def test_whatever_else_the_run_stays_an_error(confirmations: list[Attempt]) -> None:
    verdict = verdict_of(limited(HUNG), *confirmations)
    assert verdict.result is Result.ERROR
    assert Cause.CHANGE not in causes(verdict).values()
    assert levels(verdict)[Code.TIME_LIMIT][0] is Level.ERROR


def test_one_rerun_is_not_enough_to_call_it_a_hang() -> None:
    verdict = verdict_of(limited(HUNG), *HANGS[:1], *ENDS)
    assert causes(verdict) == {}
    assert levels(verdict)[Code.LOST_TEST] == (Level.ERROR, (HUNG, OTHER, NEVER))


def test_a_rerun_that_ran_out_of_time_before_the_test_began_says_so() -> None:
    late = change(still_going(), problems=(UP,))
    level, ids = levels(verdict_of(limited(HUNG), *late))[Code.NOT_CONFIRMED]
    assert (level, ids) == (Level.NOTE, (HUNG,))


def test_without_a_change_a_lasting_hang_is_the_bases_and_an_error() -> None:
    verdict = verdict_of(limited(HUNG), *HANGS, run=replace(RUN, sources=()))
    assert (verdict.result, causes(verdict)) == (Result.ERROR, {HUNG: Cause.BASE})


def test_of_two_that_had_not_ended_one_that_hangs_is_enough() -> None:
    both = [
        replace(one, asked=(HUNG, OTHER), reports=(*one.reports, passed(OTHER)))
        for one in (*HANGS, *ENDS)
    ]
    verdict = verdict_of(limited(HUNG, OTHER), *both)
    assert (verdict.result, causes(verdict)) == (Result.FAIL, {HUNG: Cause.CHANGE})
    assert levels(verdict)[Code.UNFINISHED] == (Level.FAIL, (OTHER, NEVER))


def test_failures_before_the_time_was_up_are_listed_and_their_cause_is_unknown() -> None:
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
def test_any_other_fault_beside_the_hang_is_an_error(also: Reason) -> None:
    assert verdict_of(limited(HUNG, also=(also,)), *HANGS, *ENDS).result is Result.ERROR
    stopped = change(still_going(), still_going())
    for confirmations in ((*HANGS, *ENDS), (*stopped, *ENDS)):
        for broken in confirmations:
            harmed = replace(broken, problems=(*broken.problems, also))
            found = [harmed if one is broken else one for one in confirmations]
            assert verdict_of(limited(HUNG), *found).result is Result.ERROR


def test_evidence_that_is_owed_and_lost_is_an_error_beside_a_hang() -> None:
    owed = frozenset({Kind.TEMPEST, Kind.HOSTCHECKS})
    found = Evidence(RUN, owed, (limited(HUNG), *HANGS, *ENDS))
    assert judge(found).result is Result.ERROR


def test_a_test_that_reported_twice_is_an_error_beside_a_hang() -> None:
    twice = (passed(DONE), failed(DONE))
    assert verdict_of(limited(HUNG, reports=twice), *HANGS, *ENDS).result is Result.ERROR


def test_a_test_that_was_asked_elsewhere_and_lost_is_an_error_beside_a_hang() -> None:
    first = attempt("01-tempest", [passed("m.X.done")], ["m.X.done", "m.X.lost"])
    verdict = verdict_of(first, limited(HUNG), *HANGS, *ENDS)
    assert verdict.result is Result.ERROR
    assert levels(verdict)[Code.LOST_TEST] == (Level.ERROR, (OTHER, NEVER, "m.X.lost"))


def test_a_test_that_ended_in_an_earlier_attempt_does_not_hang() -> None:
    first = attempt("01-tempest", [passed()], [HUNG])
    verdict = verdict_of(first, limited(HUNG), *HANGS, *ENDS)
    assert (verdict.result, causes(verdict)) == (Result.ERROR, {})


def test_only_what_had_not_ended_may_be_run_again() -> None:
    strange = change(timed_out(NEVER), timed_out(NEVER))
    verdict = verdict_of(limited(HUNG), *strange, *base(passed(NEVER), passed(NEVER)))
    assert verdict.result is Result.ERROR
    assert Code.UNASKED in levels(verdict)


def test_what_was_never_asked_may_be_in_progress_and_is_no_hang() -> None:
    strange = [replace(one, problems=(UP, in_progress("m.X.strange"))) for one in (*HANGS, *ENDS)]
    verdict = verdict_of(limited("m.X.strange"), *strange)
    assert (verdict.result, causes(verdict)) == (Result.ERROR, {})


def test_an_attempt_after_the_time_was_up_leaves_the_error() -> None:
    later = attempt("03-tempest", [passed(one) for one in ASKED[1:]], ASKED[1:])
    found = [*change(timed_out(), timed_out(), first=4), *base(passed(), passed(), first=6)]
    verdict = verdict_of(limited(HUNG), later, *found)
    assert verdict.result is Result.ERROR
    assert causes(verdict) == {}


def test_a_known_failure_does_not_excuse_what_keeps_the_rest_from_running() -> None:
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


def test_a_narrowed_run_gives_no_verdict_on_a_hang_either() -> None:
    narrowed = replace(RUN, selection="m")
    verdict = verdict_of(limited(HUNG), *HANGS, *ENDS, run=narrowed, policy="gate")
    assert (verdict.result, causes(verdict)) == (Result.ERROR, {HUNG: Cause.CHANGE})


def test_attempts_may_be_given_in_any_order() -> None:
    found = [limited(HUNG), *HANGS, *ENDS]
    assert verdict_of(*found) == verdict_of(*reversed(found))


@pytest.mark.parametrize("backwards", [False, True])
def test_a_second_attempt_that_ran_out_of_time_leaves_the_error(backwards: bool) -> None:
    first = attempt("01-tempest", [], ASKED, problems=(UP,), exit_status=-15)
    found = [first, limited(HUNG), *HANGS, *ENDS]
    verdict = verdict_of(*(reversed(found) if backwards else found))
    assert verdict.result is Result.ERROR


def test_what_did_not_run_because_of_the_hang_is_not_missed_once_more() -> None:
    earlier = Remembered(ran=frozenset(ASKED), same_versions=True)
    verdict = verdict_of(limited(HUNG), *HANGS, *ENDS, earlier=earlier)
    assert verdict.result is Result.FAIL
    assert Code.FEWER_RAN not in levels(verdict)


def test_a_time_limit_beside_whole_evidence_is_an_error() -> None:
    """The last test ended as the time was up, or attempt.json was edited."""
    whole = limited(reports=[passed(one) for one in ASKED], exit_status=0)
    assert verdict_of(whole).result is Result.ERROR
    assert verdict_of(whole, *HANGS, *ENDS).result is Result.ERROR


def test_a_failure_by_the_clock_is_confirmed_like_any_other() -> None:
    first = attempt("02-tempest", [passed(DONE), timed_out()], (DONE, HUNG))
    assert causes(verdict_of(first, *HANGS, *ENDS)) == {HUNG: Cause.CHANGE}
    verdict = verdict_of(first, *HANGS, *base(timed_out(), timed_out()))
    assert (verdict.result, causes(verdict)) == (Result.PASS, {HUNG: Cause.BASE})


def test_a_base_that_was_only_stopped_excuses_no_failure() -> None:
    """It ran out of time, so it was not seen to fail as the change does."""
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
def test_no_run_passes_that_ran_out_of_time(
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
