# SPDX-License-Identifier: Apache-2.0
"""Checks that an imported verdict agrees with itself, and with the manifest of its run.

Later runs are compared with an imported verdict. So it is refused if its result does not follow
from its reasons, if its reasons do not follow from its cases, or if it belongs to another run than
the directory that contains it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import fields
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Final

from bsdgate.results import evidence
from bsdgate.results.dispositions import PLAIN, counted
from bsdgate.results.errors import EvidenceError
from bsdgate.results.model import (
    RAN,
    Cause,
    Code,
    Disposition,
    Excuse,
    Level,
    Outcome,
    Result,
    Run,
    State,
    Verdict,
)
from bsdgate.results.verdict import result_of

CLOCKS: Final = timedelta(minutes=10)
"""The maximum difference between the clocks of machines that share a history."""

_SHOWN: Final = 80
_CODES: Final = MappingProxyType(
    {
        Outcome.FAIL: [Code.TESTS_FAILED],
        Outcome.MISSING: [Code.LOST_TEST, Code.UNFINISHED],
        Outcome.DUPLICATED: [Code.DUPLICATED],
        Outcome.UXSUCCESS: [Code.UNEXPECTED_SUCCESS],
        Outcome.KNOWN_FAILURE: [Code.KNOWN_FAILURE],
        Outcome.KNOWN_FAILURE_PASSED: [Code.UNEXPECTED_SUCCESS],
    }
)
"""For each test with the outcome, a reason with one of these codes must have the id."""


def require(run_dir: Path, verdict: Verdict, now: datetime) -> None:
    """Check that the verdict in the run directory agrees with itself and with the manifest.

    :raises EvidenceError: the verdict does not agree; the message lists all contradictions.
    """
    found = [*_of_other_run(verdict.run, evidence.run_of(run_dir)), *contradictions(verdict, now)]
    if found:
        path = run_dir / "report" / "verdict.json"
        raise EvidenceError(
            f"{path} contradicts itself or its run: {'; '.join(found)}",
            f"judge the run again: bsdgate report {run_dir}",
        )


def contradictions(verdict: Verdict, now: datetime) -> Iterator[str]:
    """Yield a message for each contradiction in a verdict; ``now`` is the current time."""
    expected = result_of(verdict.reasons)
    if verdict.result is not expected:
        yield f"the result is {verdict.result}, but {expected} follows from its reasons"
    yield from _wrong_levels(verdict)
    yield from _unexplained(verdict)
    if verdict.result is not Result.ERROR:
        yield from _not_whole(verdict)
    yield from _in_the_future(verdict, now + CLOCKS)


def _of_other_run(named: Run, manifest: Run) -> Iterator[str]:
    for field in fields(Run):
        one, other = getattr(named, field.name), getattr(manifest, field.name)
        if one != other:
            yield f"{field.name} is {_text(one)}, but {_text(other)} in manifest.json"


def _wrong_levels(verdict: Verdict) -> Iterator[str]:
    blamed = any(one.cause is Cause.CHANGE for one in verdict.dispositions)
    for reason in verdict.reasons:
        level = reason.code.level
        if reason.code is Code.TIME_LIMIT:
            level = Level.FAIL if blamed else Level.ERROR
        if level not in {None, reason.level}:
            yield f"the reason {reason.code} has the level {reason.level}, not {level}"


def _unexplained(verdict: Verdict) -> Iterator[str]:
    """Find cases without a reason or disposition (cause, excuse), and dispositions without one."""
    named = {(reason.code, test) for reason in verdict.reasons for test in reason.ids}
    outcomes = {case.id: case.outcome for case in verdict.cases if case.outcome not in PLAIN}
    failures = {failure.id for failure in verdict.setup_failures}
    disposed = {one.id: one for one in verdict.dispositions}
    if extra := disposed.keys() - outcomes.keys() - failures:
        yield f"there is a disposition of {_listed(extra)}, which passed or is not a case"
    if lost := (outcomes.keys() | failures) - disposed.keys():
        yield f"there is no disposition of {_listed(lost)}, which did not pass"
    failed = {test for code, test in named if code is Code.TESTS_FAILED}
    if extra := {test for test in failed if outcomes.get(test) is not Outcome.FAIL}:
        yield f"the reason tests-failed lists {_listed(extra)}, which did not fail"
    for one, right in zip(
        verdict.dispositions, counted(verdict.dispositions, verdict.reasons), strict=True
    ):
        if one != right:
            yield f"{_text(one.id)} has counts {one.counts}, which contradicts the reasons"
        outcome = outcomes.get(one.id, Outcome.SUCCESS)
        known = outcome is Outcome.KNOWN_FAILURE
        if one.id in outcomes and (one.excuse is Excuse.KNOWN_FAILURE) is not known:
            yield f"{_text(one.id)} ended as {outcome}, but its excuse is {one.excuse or 'none'}"
        codes = _CODES.get(outcome, [])
        if one.excuse and outcome is Outcome.FAIL:
            codes = [Code(one.excuse)]
        if codes and not any((code, one.id) in named for code in codes):
            yield f"{_text(one.id)} ended as {outcome}, but no reason {' or '.join(codes)} lists it"
        if one.id in failures and not _explained(one, disposed, named):
            yield f"the fixture {_text(one.id)} failed, but no reason and no excuse lists it"


def _explained(
    one: Disposition, disposed: dict[str, Disposition], named: set[tuple[Code, str]]
) -> bool:
    """Return whether a reason or an excuse covers a setup failure, or excuses cover its tests."""
    if (Code.SETUP_FAILED, one.id) in named:
        return one.counts
    if one.excuse is Excuse.KNOWN_FAILURE:
        return (Code.KNOWN_FAILURE, one.id) in named
    return bool(one.tests) and all(test in disposed and disposed[test].excuse for test in one.tests)


def _not_whole(verdict: Verdict) -> Iterator[str]:
    """Find contradictions that only a verdict with the result ERROR may have."""
    if not any(case.outcome in RAN for case in verdict.cases):
        yield f"the result is {verdict.result}, but no test was executed"
    if len({case.id for case in verdict.cases}) < len(verdict.cases):
        yield "a test is listed more than once"
    own = sorted((each for each in verdict.attempts if not each.confirms), key=lambda one: one.name)
    first = {attempt.kind: attempt for attempt in reversed(own)}
    last = {attempt.kind: attempt for attempt in own}
    asked = sum(attempt.asked for attempt in first.values())
    if asked != len(verdict.cases):
        yield f"the attempts have {asked} requested tests, but there are {len(verdict.cases)} cases"
    for attempt in last.values():
        if attempt.state not in {State.ENDED, State.FOUND}:
            yield f"the attempt {_text(attempt.name)} is {attempt.state}, but no attempt follows it"


def _in_the_future(verdict: Verdict, latest: datetime) -> Iterator[str]:
    times = {"the run": verdict.run.created, "the verdict": verdict.judged}
    for attempt in verdict.attempts:
        times[f"the end of {attempt.name}"] = attempt.ended
        times[f"the start of {attempt.name}"] = attempt.started
    for what, moment in times.items():
        if moment is not None and moment > latest:
            yield f"{_text(what)} has the time {moment.isoformat()}, which is in the future"


def _listed(ids: Iterable[str]) -> str:
    first, *others = sorted(ids)
    more = f" and {len(others)} more" if others else ""
    return f"{_text(first)}{more}"


def _text(value: object) -> str:
    text = str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
