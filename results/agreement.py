# SPDX-License-Identifier: Apache-2.0
"""Whether a verdict that somebody else wrote agrees with itself, and with its run's manifest.

A verdict that is imported becomes what later runs are compared with. So it is refused where its
result does not follow from its reasons, its reasons not from its cases, or where it is of another
run than the directory that it lies in.
"""

from collections.abc import Iterable, Iterator
from dataclasses import fields
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Final

from bsdgate.results import evidence
from bsdgate.results.errors import EvidenceError
from bsdgate.results.ids import synthetic
from bsdgate.results.model import (
    RAN,
    Cause,
    Code,
    Level,
    Outcome,
    Result,
    Run,
    State,
    Summary,
    Verdict,
)
from bsdgate.results.verdict import result_of

CLOCKS: Final = timedelta(minutes=10)
"""By how much the clocks of machines that share a history may differ."""

_SHOWN: Final = 80

_FIXED: Final = MappingProxyType(
    dict.fromkeys(
        [Code.TESTS_FAILED, Code.FIXTURE_FAILED, Code.PASS_RATE_FELL, Code.UNFINISHED], Level.FAIL
    )
    | dict.fromkeys(
        [
            Code.KNOWN_FAILURE,
            Code.EXPECTATION_UNMATCHED,
            Code.RESUMED,
            Code.FLAKED,
            Code.NOT_CONFIRMED,
            Code.NO_SEAL,
            Code.UNTOLD,
        ],
        Level.NOTE,
    )
)
"""The level of reasons that have the same under every policy, and are no errors."""

_BY_POLICY: Final = frozenset(
    {
        Code.NO_LIST,
        Code.UNEXPECTED_SUCCESS,
        Code.EXPECTATION_EXPIRED,
        Code.EXPECTATION_INVALID,
        Code.COVERAGE_LOST,
        Code.FEWER_RAN,
        Code.NARROWED,
        Code.NO_HISTORY,
        Code.EXONERATED,
    }
)
"""Reasons with a level that the policy or the versions of the run give; all others are errors."""


def require(run_dir: Path, verdict: Verdict, now: datetime) -> None:
    """See that the verdict in the run directory can be believed as far as it can be checked.

    :raises EvidenceError: it cannot; the message names every contradiction, the hint what to do.
    """
    found = [*_of_other_run(verdict.run, evidence.run_of(run_dir)), *contradictions(verdict, now)]
    if found:
        path = run_dir / "report" / "verdict.json"
        raise EvidenceError(
            f"{path} contradicts itself or its run: {'; '.join(found)}",
            f"judge the run again: bsdgate report {run_dir}",
        )


def contradictions(verdict: Verdict, now: datetime) -> Iterator[str]:
    """Name what in a verdict cannot be so together, at the time ``now``."""
    follows = result_of(verdict.reasons)
    if verdict.result is not follows:
        yield f"the result is {verdict.result}, and {follows} follows from its reasons"
    yield from _wrong_levels(verdict)
    yield from _unexplained(verdict)
    yield from _unfixed(verdict)
    if verdict.result is not Result.ERROR:
        yield from _not_whole(verdict)
    yield from _in_the_future(verdict, now + CLOCKS)


def _of_other_run(said: Run, manifest: Run) -> Iterator[str]:
    for field in fields(Run):
        one, other = getattr(said, field.name), getattr(manifest, field.name)
        if one != other:
            yield f"its {field.name} is {_text(one)}, and {_text(other)} in manifest.json"


def _wrong_levels(verdict: Verdict) -> Iterator[str]:
    for reason in verdict.reasons:
        level = (
            _limited(verdict)
            if reason.code is Code.TIME_LIMIT
            else _FIXED.get(reason.code, Level.ERROR)
        )
        if reason.code not in _BY_POLICY and reason.level is not level:
            yield f"the reason {reason.code} has the level {reason.level}, not {level}"


def _limited(verdict: Verdict) -> Level:
    """The level of a time limit: with any error beside it, no failure has the cause change."""
    hung = any(finding.cause is Cause.CHANGE for finding in verdict.findings)
    return Level.FAIL if hung else Level.ERROR


def _unexplained(verdict: Verdict) -> Iterator[str]:
    """Cases for which there is no reason, and reasons for which there is no such case."""
    ids = {outcome: _ids(verdict, outcome) for outcome in Outcome}
    failed, found = ids[Outcome.FAIL], {finding.id for finding in verdict.findings}
    yield from _unequal("a finding", found, "failed", failed)
    excused = _named(verdict, Code.EXONERATED) | _named(verdict, Code.FLAKED)
    blamed = _named(verdict, Code.TESTS_FAILED)
    yield from _unequal("the reason tests-failed", blamed, "failed unexcused", failed - excused)
    for outcome, code, other in (
        (Outcome.MISSING, Code.LOST_TEST, Code.UNFINISHED),
        (Outcome.DUPLICATED, Code.DUPLICATED, Code.DUPLICATED),
        (Outcome.UXSUCCESS, Code.UNEXPECTED_SUCCESS, Code.UNEXPECTED_SUCCESS),
    ):
        if lost := ids[outcome] - _named(verdict, code) - _named(verdict, other):
            yield f"{_listed(lost)} ended as {outcome} without a reason {code}"


def _unequal(what: str, named: set[str], how: str, cases: set[str]) -> Iterator[str]:
    if extra := named - cases:
        yield f"{what} names {_listed(extra)}, of which no case {how}"
    if lost := cases - named:
        yield f"{_listed(lost)} {how}, and {what} does not say so"


def _unfixed(verdict: Verdict) -> Iterator[str]:
    """Broken fixtures that fail nothing although not all of their tests are excused."""
    codes = (Code.EXONERATED, Code.FLAKED, Code.KNOWN_FAILURE)
    excused = set[str]().union(*(_named(verdict, code) for code in codes))
    blamed = _named(verdict, Code.FIXTURE_FAILED)
    for fixture in verdict.fixtures:
        made = synthetic(fixture.id)
        scope = f"{made.scope}." if made else fixture.id
        if fixture.id not in blamed and not any(test.startswith(scope) for test in excused):
            yield f"the fixture {_text(fixture.id)} failed, and no reason says so or excuses it"


def _not_whole(verdict: Verdict) -> Iterator[str]:
    """What only a verdict of the result ERROR may have."""
    if not any(case.outcome in RAN for case in verdict.cases):
        yield f"the result is {verdict.result}, and not one test was executed"
    if len({case.id for case in verdict.cases}) < len(verdict.cases):
        yield "a test is listed more than once"
    own = sorted((each for each in verdict.attempts if not each.confirms), key=lambda one: one.name)
    chains: dict[str, list[Summary]] = {}
    for attempt in own:
        chains.setdefault(attempt.kind, []).append(attempt)
    asked = sum(chain[0].asked for chain in chains.values())
    if asked != len(verdict.cases):
        yield f"its attempts were asked for {asked} tests, and it has {len(verdict.cases)} cases"
    for chain in chains.values():
        if chain[-1].state not in {State.ENDED, State.FOUND}:
            yield f"the attempt {_text(chain[-1].name)} is {chain[-1].state}, and none follows it"


def _in_the_future(verdict: Verdict, latest: datetime) -> Iterator[str]:
    times = {"the run": verdict.run.created, "the verdict": verdict.judged}
    for attempt in verdict.attempts:
        times[f"the end of {attempt.name}"] = attempt.ended
        times[f"the begin of {attempt.name}"] = attempt.started
    for what, moment in times.items():
        if moment is not None and moment > latest:
            yield f"{_text(what)} is of {moment.isoformat()}, which is in the future"


def _ids(verdict: Verdict, outcome: Outcome) -> set[str]:
    return {case.id for case in verdict.cases if case.outcome is outcome}


def _named(verdict: Verdict, code: Code) -> set[str]:
    return {test for reason in verdict.reasons if reason.code is code for test in reason.ids}


def _listed(ids: Iterable[str]) -> str:
    first, *others = sorted(ids)
    more = f" and {len(others)} more" if others else ""
    return f"{_text(first)}{more}"


def _text(value: object) -> str:
    text = str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
