# SPDX-License-Identifier: Apache-2.0
"""The cause of each failure: the change, the base, a flake, the node, or unknown.

``plan`` says which failures to run again, how often and on which build; the harness runs them.
``attribute`` reads the results. Nothing here excuses a failure: without evidence the cause is
UNKNOWN, which is judged like a failure that the change caused.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from bsdgate.results import passrate
from bsdgate.results.model import (
    RAN,
    Case,
    Cause,
    Code,
    Confirmation,
    Level,
    Outcome,
    Past,
    Reason,
    Side,
)
from bsdgate.results.passrate import Counts, FailureHistory, Fall, Flake
from bsdgate.results.setup_failures import innermost, message
from bsdgate.results.time_limits import NOT_ENDED, timed_out

IDS_BOUND: Final = 20
"""More failures than this are not run again: they are no flakes."""

HANGS_BOUND: Final = 8
"""More tests than this that did not end are not run again: each takes all of its time once more."""

RERUNS: Final = 2
SECONDS_BOUND: Final = 180.0
"""What all that is run again may take."""

SIGNATURE_BOUND: Final = 300

# What differs from run to run in one and the same failure, and what takes its place.
_VARYING: Final = tuple(
    (re.compile(pattern), place)
    for pattern, place in (
        (r"\b[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}\b", "<id>"),
        (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?", "<time>"),
        (r"\btempest-[\w.-]+", "<name>"),
        (r"(?<![\w.])/[\w./+-]+", "<path>"),
        (r"\b0x[0-9a-f]+\b", "<address>"),
        (r"\b[0-9a-f]{16,}\b", "<id>"),
        (r"\b\d+(?:\.\d+)? ?(?:s|secs?|seconds?|ms|min|minutes?)\b", "<n> s"),
        # Short whole numbers that stand alone are a failure's own: HTTP statuses, sizes, states.
        (r"(?<!\d)(?!(?<!\w)(?<!\d[.:-])\d{1,3}(?!\w|[.:-]\d))\d+(?:\.\d+)*", "<n>"),
        (r"\s+", " "),
    )
)

# Of these no test and no change is the cause.
_NODE_CODES: Final = frozenset({Code.SERVICE_DIED, Code.CLOUD_NOT_READY, Code.HARNESS_PROBLEM})
_NODE_SIGNS: Final = re.compile(
    r"No space left on device|database or disk is full|Cannot allocate memory"
    r"|Too many open files|Read-only file system|Input/output error"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """The cause of the failure of ``id``, and what shows it, one line for each attempt.

    ``signature`` is the failure with all that differs from run to run taken out: two failures
    of a test are the same failure if their signatures are equal.
    """

    id: str
    cause: Cause
    signature: str = ""
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rerun:
    """What to run again: failures of an attempt, so many times, on this build.

    They ``hung``, if a time limit ended them: each may take all of its time once more, and leave a
    cloud in which everything hangs.
    """

    attempt: str
    side: Side
    times: int
    ids: tuple[str, ...]
    hung: bool = False


def plan(
    failed: Mapping[str, Sequence[str]],
    reasons: Iterable[Reason] = (),
    *,
    change: bool,
    hung: Set[str] = frozenset(),
) -> tuple[Rerun, ...]:
    """Say what to run again, of the failures of each attempt, so that each finds its cause.

    Nothing, where the evidence is not whole (the run is an ERROR whoever is the cause) or so much
    failed that it cannot be chance. ``change`` tells whether there is a base to compare with,
    ``hung`` are those of the failures that a time limit ended.
    """
    total = sum(len(ids) for ids in failed.values())
    if not 0 < total <= IDS_BOUND or any(reason.level is Level.ERROR for reason in reasons):
        return ()
    groups = [
        (attempt, tuple(sorted(group)), those)
        for attempt, ids in sorted(failed.items())
        for those, group in ((False, set(ids) - hung), (True, set(ids) & hung))
        if group and not (those and len(hung) > HANGS_BOUND)
    ]
    return tuple(
        Rerun(attempt, side, RERUNS, ids, those)
        for side in (Side.CHANGE, Side.BASE)
        for attempt, ids, those in groups
        if change or side is Side.CHANGE
    )


def attribute(
    failed: Iterable[Case],
    confirmations: Sequence[Confirmation] = (),
    reasons: Iterable[Reason] = (),
    *,
    change: bool,
) -> tuple[Finding, ...]:
    """Return the cause of each failure, sorted by id.

    ``reasons`` are what else is wrong with the run, ``change`` whether a change is under test.
    """
    trouble = _trouble(reasons)
    seen = _by_id(confirmations)
    found = (_find(case, seen.get(case.id, []), trouble, change=change) for case in failed)
    return tuple(sorted(found, key=lambda finding: finding.id))


def known_flake(finding: Finding, past: Sequence[Past]) -> Flake:
    """Whether earlier runs without the change show the same failure come and go, and why.

    The same failure is one with the same signature.
    """
    outcomes = [one for one in past if one.outcome in RAN]
    same = [one for one in outcomes if _failed(one) and one.signature == finding.signature]
    return passrate.known_flake(Counts(len(same), len(outcomes)))


def falls(flakes: Iterable[Finding], past: "PastRuns", ran: int) -> tuple[Fall, ...]:
    """Return those flakes whose pass rate has fallen, ``ran`` tests being looked at in all.

    A flake is excused for coming and going as it always did, not for coming more often.
    """
    return passrate.gate((_record(one.id, past.get(one.id, ())) for one in flakes), ran)


def _record(test_id: str, past: Sequence[Past]) -> FailureHistory:
    before = [_failed(one) for one in reversed(past) if one.outcome in RAN]
    return FailureHistory(test_id, [*before, True], Counts(0, 0))


def _failed(one: Past) -> bool:
    return one.outcome is Outcome.FAIL


def signature(case: Case) -> str:
    """Return a failure's text without what differs from run to run.

    Its message and the innermost frame of its traceback, so that two ways to fail with one
    message are two failures. What is too long to be shown still differs by its digest. All failures
    of a test that a time limit ended have one signature.
    """
    if timed_out(case):
        return NOT_ENDED
    where = innermost(case.details)
    text = message(case)
    for pattern, place in _VARYING:
        text = pattern.sub(place, text)
    text = text.strip()
    room = SIGNATURE_BOUND - len(where)
    if len(text) > room:
        digest = f" #{hashlib.sha256(text.encode(errors='replace')).hexdigest()[:12]}"
        text = text[: max(room - len(digest), 0)] + digest
    return text + where


_Seen = list[tuple[Confirmation, Case]]
"""Every answer to a test that was run again, of attempts that are not whole too, in their order."""


def _by_id(confirmations: Iterable[Confirmation]) -> dict[str, _Seen]:
    seen: dict[str, _Seen] = {}
    for confirmation in sorted(confirmations, key=lambda one: one.attempt):
        for case in confirmation.cases:
            seen.setdefault(case.id, []).append((confirmation, case))
    return seen


def _ran(seen: _Seen, side: Side) -> list[Case]:
    """What whole attempts on that side found of the test."""
    return [case for one, case in seen if one.whole and one.side is side and case.outcome in RAN]


def _agreed(seen: _Seen, side: Side, said: Callable[[Case], bool]) -> bool:
    """Whether all that was seen on that side says so, in RERUNS attempts on end that are whole.

    What is lost may have said otherwise, so a round without all of its attempts says nothing; what
    an attempt said before it was interrupted speaks against, never for.
    """
    rounds = [list(group) for of, group in groupby(seen, lambda pair: pair[0].side) if of is side]
    last = rounds[-1][-RERUNS:] if rounds else []
    return (
        len(last) == RERUNS
        and all(one.whole for one, _ in last)
        and all(
            said(case)
            for one, case in seen
            if one.side is side and case.outcome is not Outcome.MISSING
        )
    )


def _trouble(reasons: Iterable[Reason]) -> tuple[Cause, tuple[str, ...]] | None:
    """What else went wrong: something died under the tests, or their evidence is not whole."""
    errors = [reason for reason in reasons if reason.level is Level.ERROR]
    died = tuple(reason.message for reason in errors if reason.code in _NODE_CODES)
    if died:
        return Cause.NODE, died
    return (Cause.HARNESS, tuple(reason.message for reason in errors)) if errors else None


def _find(
    case: Case, seen: _Seen, trouble: tuple[Cause, tuple[str, ...]] | None, *, change: bool
) -> Finding:
    mark = signature(case)
    if sign := _NODE_SIGNS.search(f"{case.reason}\n{case.details}"):
        return Finding(case.id, Cause.NODE, mark, (f"it says {sign[0]!r}",))
    if trouble:
        return Finding(case.id, trouble[0], mark, trouble[1])
    where = {Side.CHANGE: "with the change" if change else "once more", Side.BASE: "on the base"}
    shown = tuple(
        _tell(f"{one.attempt}, {where[side]}", again, mark)
        for side in Side
        for one, again in seen
        if one.side is side and (one.whole or again.outcome is not Outcome.MISSING)
    )
    return Finding(case.id, _cause(seen, mark, change=change), mark, shown)


def _cause(seen: _Seen, mark: str, *, change: bool) -> Cause:
    again, base = _ran(seen, Side.CHANGE), _ran(seen, Side.BASE)

    def same(case: Case) -> bool:
        return case.outcome is Outcome.FAIL and signature(case) == mark

    # The base excuses the failure that it has; one that only the change has is none of its own.
    others = [
        case
        for one, case in seen
        if one.side is Side.CHANGE and case.outcome is Outcome.FAIL and not same(case)
    ]
    if change and not others and _agreed(seen, Side.BASE, same):
        return Cause.BASE
    if any(one.outcome is not Outcome.FAIL for one in again):
        return Cause.FLAKE
    if len(again) < RERUNS:
        return Cause.UNKNOWN
    if not change:
        return Cause.BASE
    if len(base) < RERUNS:
        return Cause.UNKNOWN
    return Cause.FLAKE if any(map(same, base)) else Cause.CHANGE


def _tell(what: str, case: Case, mark: str) -> str:
    if case.outcome is not Outcome.FAIL:
        return f"{what}: {case.outcome}"
    like = "the same failure" if signature(case) == mark else f"another failure: {signature(case)}"
    return f"{what}: fail, {like}"


def passed_again(finding: Finding, confirmations: Sequence[Confirmation]) -> bool:
    """Whether every re-run with the change, RERUNS of them, has passed."""
    seen = _by_id(confirmations).get(finding.id, [])
    return _agreed(seen, Side.CHANGE, lambda case: case.outcome is Outcome.SUCCESS)


PastRuns = Mapping[str, Sequence[Past]]
"""How tests ended in earlier runs without a change, newest first, by id."""
