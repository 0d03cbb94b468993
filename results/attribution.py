# SPDX-License-Identifier: Apache-2.0
"""Finds the cause of each failure, such as the change, the base (the build without it) or a flake.

``plan`` returns which failures to run again, how often and on which build; the harness runs them.
``attribute`` evaluates the results. Without evidence the cause is UNKNOWN, and the failure is
judged like one that the change caused.
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
"""If more tests than this failed, no test is run again: so many failures are not flakes."""

HANGS_BOUND: Final = 8
"""If more tests than this hung, no hung test is run again: each may hang again."""

RERUNS: Final = 2
SECONDS_BOUND: Final = 180.0
"""The maximum duration of all re-runs together, in seconds."""

SIGNATURE_BOUND: Final = 300

# Text that differs between two occurrences of the same failure, and its replacement.
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
        # Short whole numbers that stand alone are kept: HTTP statuses, sizes, states.
        (r"(?<!\d)(?!(?<!\w)(?<!\d[.:-])\d{1,3}(?!\w|[.:-]\d))\d+(?:\.\d+)*", "<n>"),
        (r"\s+", " "),
    )
)

# If an error has one of these codes, the node is the cause, not a test or the change.
_NODE_CODES: Final = frozenset(
    {
        *(Code.SERVICE_DIED, Code.CLOUD_NOT_READY, Code.HARNESS_PROBLEM),
        *(Code.NODE_LOST, Code.NODE_REBOOTED, Code.NODE_CHANGED),
        *(Code.KERNEL_PANIC, Code.OUT_OF_MEMORY, Code.PROCESS_CRASHED),
    }
)
_NODE_SIGNS: Final = re.compile(
    r"No space left on device|database or disk is full|Cannot allocate memory"
    r"|Too many open files|Read-only file system|Input/output error"
)


PastRuns = Mapping[str, Sequence[Past]]
"""The outcomes of tests in earlier runs without a change, by test id; newest first."""


@dataclass(frozen=True, slots=True)
class Attribution:
    """The cause of the failure of the test ``id``, and the evidence for it.

    ``signature`` is the text of the failure without the parts that differ from run to run: two
    failures of a test are the same failure if their signatures are equal. ``evidence`` has one line
    for each re-run or error. ``passed_again``: whether the test is a flake and passed in each of
    the RERUNS re-runs with the change.
    """

    id: str
    cause: Cause
    signature: str = ""
    evidence: tuple[str, ...] = ()
    passed_again: bool = False


@dataclass(frozen=True, slots=True)
class Rerun:
    """The failures of one attempt that are to be run again, how often, and on which build.

    ``hung``: whether a time limit ended them. Each may use its time limit again, and may leave the
    cloud in a state in which every test hangs.
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
    """Return the re-runs that can find the causes of failures; ``failed`` has the ids by attempt.

    The result is empty if the evidence is incomplete (the run is an ERROR, whatever the cause) or
    if more than IDS_BOUND tests failed. ``change``: whether a change is under test, so that there
    is a base to compare with. ``hung`` are the ids of failures that a time limit ended.
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
) -> tuple[Attribution, ...]:
    """Return the cause and the evidence of each failure, sorted by id.

    ``confirmations`` are the results of the re-runs. ``reasons`` are the other faults of the run;
    an error among them becomes the cause. ``change``: whether a change is under test.
    """
    trouble = _other_cause(reasons)
    seen = _by_id(confirmations)
    found = (_find(case, seen.get(case.id, []), trouble, change=change) for case in failed)
    return tuple(sorted(found, key=lambda finding: finding.id))


def attribute_lost(
    cases: Iterable[Case], fixtures: Iterable[Case], reasons: Iterable[Reason]
) -> tuple[Attribution, ...]:
    """Return the cause of lost tests and failed fixtures if the node, cloud or a service failed.

    Nothing else explains why a test has no outcome. ``fixtures`` are the failed fixtures: they are
    not run again.
    """
    trouble = _other_cause(reasons)
    if trouble is None or trouble[0] is not Cause.NODE:
        return ()
    lost = [case.id for case in cases if case.outcome is Outcome.MISSING]
    lost += [fixture.id for fixture in fixtures]
    return tuple(Attribution(each, Cause.NODE, "", trouble[1]) for each in lost)


def known_flake(finding: Attribution, past: Sequence[Past]) -> Flake:
    """Return whether a failure is a known flake, by the outcomes of its test in earlier runs.

    Only earlier failures with the same signature count as failures.
    """
    outcomes = [one for one in past if one.outcome in RAN]
    same = [one.outcome is Outcome.FAIL and one.signature == finding.signature for one in outcomes]
    return passrate.known_flake(Counts(sum(same), len(outcomes)))


def falls(flakes: Iterable[Attribution], past: PastRuns, ran: int) -> tuple[Fall, ...]:
    """Return the flakes that fail significantly more often than before.

    ``ran`` is the number of tests in the run. A known flake is not excused if its failure rate has
    risen.
    """
    histories = []
    for one in flakes:
        outcomes = [each.outcome for each in past.get(one.id, ()) if each.outcome in RAN]
        failed = [outcome is Outcome.FAIL for outcome in reversed(outcomes)]
        histories.append(FailureHistory(one.id, [*failed, True], Counts(0, 0)))
    return passrate.gate(histories, ran)


def signature(case: Case) -> str:
    """Return the text of a failure without the parts that differ from run to run.

    The signature is the message and the innermost frame of the traceback, so that failures with the
    same message at two places differ. A long message is cut and gets a digest. All failures by a
    time limit have the same signature.
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


_Reruns = list[tuple[Confirmation, Case]]
"""All results of the re-runs of one test, in order, also from incomplete attempts."""


def _by_id(confirmations: Iterable[Confirmation]) -> dict[str, _Reruns]:
    seen: dict[str, _Reruns] = {}
    for confirmation in sorted(confirmations, key=lambda one: one.attempt):
        for case in confirmation.cases:
            seen.setdefault(case.id, []).append((confirmation, case))
    return seen


def _ran(seen: _Reruns, side: Side) -> list[Case]:
    """Return the results of the test on ``side``, from complete attempts in which it ran."""
    return [case for one, case in seen if one.whole and one.side is side and case.outcome in RAN]


def _agreed(seen: _Reruns, side: Side, expected: Callable[[Case], bool]) -> bool:
    """Return whether every result on ``side`` is as expected, in RERUNS complete attempts.

    The last RERUNS consecutive attempts on ``side`` must be complete: a lost result could have
    been different. A result of an interrupted attempt can only contradict, never confirm.
    """
    rounds = [list(group) for of, group in groupby(seen, lambda pair: pair[0].side) if of is side]
    last = rounds[-1][-RERUNS:] if rounds else []
    all_cases = (case for one, case in seen if one.side is side)
    return (
        len(last) == RERUNS
        and all(one.whole for one, _ in last)
        and all(expected(case) for case in all_cases if case.outcome is not Outcome.MISSING)
    )


def _other_cause(reasons: Iterable[Reason]) -> tuple[Cause, tuple[str, ...]] | None:
    """Return the cause of all failures and its evidence, if the run has errors; else None.

    The cause is NODE if a service or the cloud failed, HARNESS if the evidence is incomplete.
    """
    errors = [reason for reason in reasons if reason.level is Level.ERROR]
    died = tuple(reason.message for reason in errors if reason.code in _NODE_CODES)
    if died:
        return Cause.NODE, died
    return (Cause.HARNESS, tuple(reason.message for reason in errors)) if errors else None


def _find(
    case: Case, seen: _Reruns, trouble: tuple[Cause, tuple[str, ...]] | None, *, change: bool
) -> Attribution:
    mark = signature(case)
    if sign := _NODE_SIGNS.search(f"{case.reason}\n{case.details}"):
        return Attribution(case.id, Cause.NODE, mark, (f"the failure contains {sign[0]!r}",))
    if trouble:
        return Attribution(case.id, trouble[0], mark, trouble[1])
    where = {Side.CHANGE: "with the change" if change else "once more", Side.BASE: "on the base"}
    shown = tuple(
        _describe_rerun(f"{one.attempt}, {where[side]}", again, mark)
        for side in Side
        for one, again in seen
        if one.side is side and (one.whole or again.outcome is not Outcome.MISSING)
    )
    cause = _cause(seen, mark, change=change)
    passed = _agreed(seen, Side.CHANGE, lambda again: again.outcome is Outcome.SUCCESS)
    return Attribution(case.id, cause, mark, shown, passed and cause is Cause.FLAKE)


def _cause(seen: _Reruns, mark: str, *, change: bool) -> Cause:
    again, base = _ran(seen, Side.CHANGE), _ran(seen, Side.BASE)

    def same(case: Case) -> bool:
        return case.outcome is Outcome.FAIL and signature(case) == mark

    # BASE only if each failure with the change is the same: the base excuses no other failure.
    sides = [(one.side, case) for one, case in seen if case.outcome is Outcome.FAIL]
    alike = all(same(case) for side, case in sides if side is Side.CHANGE)
    if change and alike and _agreed(seen, Side.BASE, same):
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


def _describe_rerun(what: str, case: Case, mark: str) -> str:
    if case.outcome is not Outcome.FAIL:
        return f"{what}: {case.outcome}"
    like = "the same failure" if signature(case) == mark else f"another failure: {signature(case)}"
    return f"{what}: fail, {like}"
