# SPDX-License-Identifier: Apache-2.0
"""Whether an imported verdict agrees with itself, and with the manifest of its run.

Later runs are compared with an imported verdict. So it is refused if its result does not follow
from its reasons, if its reasons do not follow from its cases, or if it belongs to another run than
the directory that contains it.
"""

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import fields
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Final

from bsdgate.results import evidence
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
    Summary,
    Verdict,
)
from bsdgate.results.verdict import result_of

CLOCKS: Final = timedelta(minutes=10)
"""By how much the clocks of machines that share a history may differ."""

_SHOWN: Final = 80
_PLAIN: Final = frozenset({Outcome.SUCCESS, Outcome.SKIP})
_EXCUSED: Final = MappingProxyType(
    {
        None: Code.TESTS_FAILED,
        Excuse.FAILS_ON_BASE: Code.FAILS_ON_BASE,
        Excuse.KNOWN_FLAKE: Code.KNOWN_FLAKE,
        Excuse.KNOWN_FAILURE: Code.KNOWN_FAILURE,
    }
)
_OF_OUTCOME: Final[Mapping[Outcome | None, Code]] = MappingProxyType(
    {
        Outcome.MISSING: Code.LOST_TEST,
        Outcome.DUPLICATED: Code.DUPLICATED,
        Outcome.UXSUCCESS: Code.UNEXPECTED_SUCCESS,
        Outcome.KNOWN_FAILURE: Code.KNOWN_FAILURE,
        Outcome.KNOWN_FAILURE_PASSED: Code.UNEXPECTED_SUCCESS,
    }
)

_FIXED: Final = MappingProxyType(
    dict.fromkeys(
        [Code.TESTS_FAILED, Code.SETUP_FAILED, Code.PASS_RATE_FELL, Code.UNFINISHED], Level.FAIL
    )
    | dict.fromkeys(
        [
            Code.KNOWN_FAILURE,
            Code.EXPECTATION_UNMATCHED,
            Code.RESUMED,
            Code.KNOWN_FLAKE,
            Code.NOT_CONFIRMED,
            Code.NO_SEAL,
            Code.STRAY,
            Code.NOT_REPORTED,
        ],
        Level.NOTE,
    )
)
"""Reasons with the same level under every policy, except errors."""

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
        Code.FAILS_ON_BASE,
        Code.LEFT_BEHIND,
        Code.UNDATED,
    }
)
"""Reasons with a level that the policy or the versions of the run give; all others are errors."""


def require(run_dir: Path, verdict: Verdict, now: datetime) -> None:
    """Check that the verdict in the run directory agrees with itself and with the manifest.

    :raises EvidenceError: it does not; the message names every contradiction.
    """
    found = [*_of_other_run(verdict.run, evidence.run_of(run_dir)), *contradictions(verdict, now)]
    if found:
        path = run_dir / "report" / "verdict.json"
        raise EvidenceError(
            f"{path} contradicts itself or its run: {'; '.join(found)}",
            f"judge the run again: bsdgate report {run_dir}",
        )


def contradictions(verdict: Verdict, now: datetime) -> Iterator[str]:
    """Return the contradictions within a verdict, one text for each, at the time ``now``."""
    expected = result_of(verdict.reasons)
    if verdict.result is not expected:
        yield f"the result is {verdict.result}, and {expected} follows from its reasons"
    yield from _wrong_levels(verdict)
    yield from _unexplained(verdict)
    if verdict.result is not Result.ERROR:
        yield from _not_whole(verdict)
    yield from _in_the_future(verdict, now + CLOCKS)


def _of_other_run(named: Run, manifest: Run) -> Iterator[str]:
    for field in fields(Run):
        one, other = getattr(named, field.name), getattr(manifest, field.name)
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
    """Return the level of a time limit: FAIL if the change caused a failure, else ERROR."""
    hung = any(one.cause is Cause.CHANGE for one in verdict.dispositions)
    return Level.FAIL if hung else Level.ERROR


def _unexplained(verdict: Verdict) -> Iterator[str]:
    """Find cases without a reason or disposition, and dispositions without a case."""
    named = {code: _named(verdict, code) for code in Code}
    counting = {
        test for reason in verdict.reasons if reason.level is not Level.NOTE for test in reason.ids
    }
    outcomes = {case.id: case.outcome for case in verdict.cases if case.outcome not in _PLAIN}
    failures = {failure.id for failure in verdict.setup_failures}
    disposed = {one.id: one for one in verdict.dispositions}
    yield from _unequal(disposed.keys(), {*outcomes, *failures})
    failed = {test for test, outcome in outcomes.items() if outcome is Outcome.FAIL}
    if extra := named[Code.TESTS_FAILED] - failed:
        yield f"the reason tests-failed names {_listed(extra)}, which did not fail"
    for one in verdict.dispositions:
        if one.counts != (one.id in counting):
            yield f"counts of {_text(one.id)} is {one.counts}, which contradicts the reasons"
        code = _code(one, outcomes.get(one.id))
        if code is Code.LOST_TEST and one.id in named[Code.UNFINISHED]:
            continue
        if code is not None and one.id not in named[code]:
            yield f"{_text(one.id)} ended as {outcomes[one.id]} without a reason {code}"
        if one.id in failures and not _explained(one, disposed, named):
            yield f"the fixture {_text(one.id)} failed, and no reason says so or excuses it"


def _code(one: Disposition, outcome: Outcome | None) -> Code | None:
    """Return the code of the reason that must name this test; None if none must."""
    return _EXCUSED[one.excuse] if outcome is Outcome.FAIL else _OF_OUTCOME.get(outcome)


def _explained(
    one: Disposition, disposed: Mapping[str, Disposition], named: Mapping[Code, set[str]]
) -> bool:
    """Return whether a reason names a setup failure, or an excuse covers it or all its tests."""
    if one.id in named[Code.SETUP_FAILED]:
        return one.counts
    if one.excuse is Excuse.KNOWN_FAILURE:
        return one.id in named[Code.KNOWN_FAILURE]
    return bool(one.tests) and all(test in disposed and disposed[test].excuse for test in one.tests)


def _unequal(disposed: Set[str], expected: Set[str]) -> Iterator[str]:
    if extra := disposed - expected:
        yield f"it has a disposition of {_listed(extra)}, which passed or is no case"
    if lost := expected - disposed:
        yield f"it has no disposition of {_listed(lost)}, which did not pass"


def _not_whole(verdict: Verdict) -> Iterator[str]:
    """Find what only a verdict with the result ERROR may contain."""
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
        times[f"the start of {attempt.name}"] = attempt.started
    for what, moment in times.items():
        if moment is not None and moment > latest:
            yield f"{_text(what)} is of {moment.isoformat()}, which is in the future"


def _named(verdict: Verdict, code: Code) -> set[str]:
    return {test for reason in verdict.reasons if reason.code is code for test in reason.ids}


def _listed(ids: Iterable[str]) -> str:
    first, *others = sorted(ids)
    more = f" and {len(others)} more" if others else ""
    return f"{_text(first)}{more}"


def _text(value: object) -> str:
    text = str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
