# SPDX-License-Identifier: Apache-2.0
"""Judges tests that were in progress when the time limit of the whole attempt was reached.

These tests, and those that had not begun, have no outcome, so the run is an ERROR. The tests in
progress are run again, each with its own time limit. If a test hangs each time with the change, but
ends on the base (the build without the change), the change is the cause of its failure and of the
tests that therefore did not run: the run is a FAIL. Otherwise the run stays an ERROR. It is never a
PASS.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Final

from bsdgate.results import model
from bsdgate.results.attribution import RERUNS, Attribution, attribute
from bsdgate.results.ledger import Ledger, of
from bsdgate.results.model import Attempt, Case, Cause, Code, Kind, Level, Outcome, Reason, Side
from bsdgate.results.time_limits import not_ended, time_was_up, timed_out, unfinished

_ITS_OWN: Final = frozenset({Code.TIME_LIMIT, Code.IN_PROGRESS})
"""The codes of problems that the time limit itself causes; with any other the run is an ERROR."""


@dataclass(frozen=True, slots=True)
class Hangs:
    """The facts about the tests that were in progress when the time limit was reached.

    ``failed`` are failed cases of the tests that hang again; ``findings`` are the causes of these
    failures. ``reasons`` are the reasons of the run, changed accordingly. ``unfinished`` are the
    tests without an outcome that did not run because of the hanging tests.
    """

    failed: Mapping[str, Case]
    findings: tuple[Attribution, ...]
    reasons: list[Reason]
    unfinished: tuple[str, ...] = ()

    def put_into(self, cases: Iterable[Case]) -> tuple[Case, ...]:
        """Return ``cases``, in which the tests that hang again are failures."""
        return tuple(self.failed.get(case.id, case) for case in cases)


def limited(attempts: Iterable[Attempt]) -> Attempt | None:
    """Return the last Tempest attempt, without re-runs, if its time limit ended it; else None."""
    own = [one for one in attempts if one.kind is Kind.TEMPEST and not one.confirms]
    last = max(own, key=lambda one: one.name, default=None)
    return last if last is not None and time_was_up(last) else None


def unexplained(reasons: Iterable[Reason], attempt: Attempt) -> list[Reason]:
    """Return the reasons that the time limit of ``attempt`` did not cause."""
    own = {of(attempt, problem) for problem in attempt.problems if problem.code in _ITS_OWN}
    return list(_without(set(attempt.asked), (one for one in reasons if one not in own)))


def weigh(evidence: model.Evidence, ledger: Ledger, reasons: list[Reason]) -> Hangs:
    """Judge the re-runs of the tests that were in progress when the time limit was reached.

    The ledger has one final outcome per requested test, and the results of re-runs.
    """
    attempt = limited(evidence.attempts)
    missing = {case.id for case in ledger.cases if case.outcome is Outcome.MISSING}
    failed = _hang_again(attempt, missing, ledger.confirmations) if attempt else {}
    if attempt is None or not failed:
        return Hangs({}, (), reasons)
    rest = unexplained(reasons, attempt)
    changed = evidence.run.changed
    findings = attribute(failed.values(), ledger.confirmations, rest, change=changed)
    if all(finding.cause is not Cause.CHANGE for finding in findings):
        # An error among the other reasons has this effect too: it causes all failures.
        return Hangs(failed, findings, list(_without(failed.keys(), reasons)))
    left = tuple(sorted((missing & set(attempt.asked)) - failed.keys()))
    rest += (
        replace(of(attempt, problem), level=Level.FAIL)
        for problem in attempt.problems
        if problem.code is Code.TIME_LIMIT
    )
    if left:
        tests = model.count(left, "test")
        message = f"{tests} without an outcome, because the time limit was reached"
        rest.append(Reason(Level.FAIL, Code.UNFINISHED, message, left))
    return Hangs(failed, findings, rest, left)


def _without(explained: Set[str], reasons: Iterable[Reason]) -> Iterable[Reason]:
    """Yield the reasons; from reasons about lost tests, remove the explained ids."""
    for reason in reasons:
        if reason.code is not Code.LOST_TEST or explained.isdisjoint(reason.ids):
            yield reason
        elif ids := tuple(test_id for test_id in reason.ids if test_id not in explained):
            message = f"{model.count(ids, 'requested test')} without an outcome"
            yield model.error(Code.LOST_TEST, message, ids)


def _hang_again(
    attempt: Attempt, missing: Set[str], confirmations: Sequence[model.Confirmation]
) -> dict[str, Case]:
    """Return failed cases of the tests that hang in each re-run with the change, by id."""
    found = {}
    for test_id in sorted(unfinished(attempt) & missing):
        again = [
            (one.whole, case)
            for one in confirmations
            if one.side is Side.CHANGE
            for case in one.cases
            if case.id == test_id and case.outcome is not Outcome.MISSING
        ]
        hung = all(timed_out(case) for _, case in again)
        if hung and sum(whole for whole, _ in again) >= RERUNS:
            found[test_id] = not_ended(test_id, attempt.test_timeout, again[-1][1].details)
    return found
