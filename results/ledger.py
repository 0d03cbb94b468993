# SPDX-License-Identifier: Apache-2.0
"""What was asked to run against what reported back: every asked id in exactly one state."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from bsdgate.results.ids import Synthetic, scopes, synthetic
from bsdgate.results.model import (
    RAN,
    Attempt,
    Case,
    Code,
    Kind,
    Outcome,
    Reason,
    State,
    count,
    error,
    note,
)
from bsdgate.results.witness import contradictions

# What an interruption does to a stream. It costs nothing where a later attempt asked again for
# exactly the tests that have no outcome.
_EXCUSED = frozenset(
    {
        Code.EMPTY_STREAM,
        Code.EVIDENCE_LOST,
        Code.IN_PROGRESS,
        Code.TRUNCATED,
        Code.WORKER_LOST,
    }
)


@dataclass(frozen=True, slots=True)
class Ledger:
    """``cases`` has every asked id once; ``fixtures`` are failures that are no test's own."""

    cases: tuple[Case, ...]
    fixtures: tuple[Case, ...]
    reasons: tuple[Reason, ...]


@dataclass(slots=True)
class _Tally:
    """One attempt's account; ``own`` are the asked tests that reported themselves."""

    attempt: Attempt
    own: frozenset[str] = frozenset()
    cases: dict[str, Case] = field(default_factory=dict)
    fixtures: list[Case] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)

    @property
    def unreported(self) -> frozenset[str]:
        return frozenset(self.attempt.asked) - self.cases.keys()


def reconcile(attempts: Iterable[Attempt]) -> Ledger:
    """Make the account of all attempts of a run, in whatever order they are given."""
    chains: dict[Kind, list[_Tally]] = defaultdict(list)
    for attempt in sorted(attempts, key=lambda attempt: attempt.name):
        chains[attempt.kind].append(_tally(attempt))
    outcomes: dict[str, list[Case]] = defaultdict(list)
    fixtures: list[Case] = []
    reasons: list[Reason] = []
    for kind, chain in chains.items():
        reasons += _link(kind, chain)
        for tally in chain:
            fixtures += tally.fixtures
            for test_id in dict.fromkeys(tally.attempt.asked):
                outcomes[test_id] += filter(None, [tally.cases.get(test_id)])
    cases = [_settle(test_id, found) for test_id, found in sorted(outcomes.items())]
    reasons += _complain(cases)
    return Ledger(tuple(cases), tuple(sorted(fixtures, key=_order)), tuple(reasons))


def unreported(attempt: Attempt) -> tuple[str, ...]:
    """The asked ids that ``attempt`` gives no outcome, in the order in which they were asked."""
    lost = _tally(attempt).unreported
    return tuple(test_id for test_id in attempt.asked if test_id in lost)


def _tally(attempt: Attempt) -> _Tally:
    tally = _Tally(attempt)
    asked = frozenset(attempt.asked)
    own: dict[str, list[Case]] = defaultdict(list)
    made: list[Case] = []
    unasked: list[str] = []
    for report in attempt.reports:
        if report.id in asked:
            own[report.id].append(report)
        elif synthetic(report.id):
            made.append(report)
        else:
            unasked.append(report.id)
    tally.own = frozenset(own)
    tally.cases = {test_id: _settle(test_id, found) for test_id, found in own.items()}
    members = _members(attempt.asked) if made else {}
    # Sorted, so that the account is the same in whatever order workers wrote their packets.
    for report in sorted(made, key=_order):
        _expand(tally, report, members)
    if unasked:
        message = f"{attempt.name}: {count(unasked, 'report')} of tests that were not asked to run"
        tally.reasons.append(error(Code.UNASKED, message, tuple(sorted(unasked))))
    tally.reasons += _check_asked(attempt) + _check_harness(tally)
    return tally


def _order(case: Case) -> tuple[str, bool, str]:
    # Failures before skips: where both speak for a class, its tests have failed.
    return case.id, case.outcome is not Outcome.FAIL, case.details or ""


def _members(asked: Iterable[str]) -> dict[str, list[str]]:
    """The asked tests of each class, module and package."""
    members: dict[str, list[str]] = defaultdict(list)
    for test_id in asked:
        for scope in scopes(test_id):
            members[scope].append(test_id)
    return members


def _expand(tally: _Tally, report: Case, members: dict[str, list[str]]) -> None:
    """Give a synthetic report's outcome to the tests it speaks for."""
    name = tally.attempt.name
    made = synthetic(report.id)
    assert made is not None  # the caller has asked
    if made.kind is Synthetic.WORKER:
        message = f"{name}: a worker process ended badly ({report.reason or report.outcome})"
        tally.reasons.append(error(Code.WORKER_LOST, message, (report.id,)))
        return
    if made.kind is Synthetic.STREAM:
        message = f"{name}: what a worker sent could not be decoded"
        tally.reasons.append(error(Code.DAMAGED, message, (report.id,)))
        return
    if report.outcome is Outcome.FAIL:
        tally.fixtures.append(report)
    elif report.outcome is not Outcome.SKIP or made.kind is not Synthetic.SET_UP:
        message = f"{name}: a fixture cannot end in {report.outcome}"
        tally.reasons.append(error(Code.UNASKED, message, (report.id,)))
        return
    spoken_for = members.get(made.scope, [])
    if not spoken_for:
        message = f"{name}: no asked test belongs to what reported"
        tally.reasons.append(error(Code.UNASKED, message, (report.id,)))
    if made.kind is Synthetic.TEAR_DOWN:
        return
    why = report.reason if report.outcome is Outcome.SKIP else f"{report.id}: {report.reason}"
    for test_id in spoken_for:
        inherited = replace(report, id=test_id, reason=why, details=None)
        own = test_id in tally.own
        if own and report.outcome is Outcome.SKIP:
            # A skipped class runs nothing: a test of it that did run is a contradiction.
            tally.cases[test_id] = _settle(test_id, [tally.cases[test_id], inherited])
        elif not own:
            tally.cases.setdefault(test_id, inherited)


def _settle(test_id: str, found: Sequence[Case]) -> Case:
    """The one state of an asked id, from everything that was reported of it."""
    if not found:
        return Case(test_id, Outcome.MISSING, reason="no outcome was reported")
    if len(found) == 1:
        return found[0]
    told = ", ".join(sorted(case.outcome for case in found))
    details = sorted(case.details for case in found if case.details)
    return Case(
        test_id,
        Outcome.DUPLICATED,
        reason=f"reported {len(found)} times: {told}",
        details=details[0] if details else None,
    )


def _check_asked(attempt: Attempt) -> list[Reason]:
    if not attempt.asked:
        return [error(Code.NOTHING_ASKED, f"{attempt.name}: no test was asked to run")]
    twice = tuple(sorted(test for test, times in Counter(attempt.asked).items() if times > 1))
    if twice:
        message = f"{attempt.name}: {count(twice, 'test')} listed more than once"
        return [error(Code.ASKED_TWICE, message, twice)]
    return []


def _check_harness(tally: _Tally) -> list[Reason]:
    attempt = tally.attempt
    failed = bool(tally.fixtures) or any(
        report.outcome is Outcome.FAIL for report in attempt.reports
    )
    prefixed = (
        replace(problem, message=f"{attempt.name}: {problem.message}")
        for problem in attempt.problems
    )
    return [*prefixed, *contradictions(attempt, failed=failed)]


def _link(kind: Kind, chain: Sequence[_Tally]) -> list[Reason]:
    """Judge the attempts of one kind, each in the light of the one that followed it."""
    reasons: list[Reason] = []
    followers: list[_Tally | None] = [*chain[1:], None]
    for tally, follower in zip(chain, followers, strict=True):
        excused = tally.attempt.state is State.INTERRUPTED and follower is not None
        reasons += (reason for reason in tally.reasons if not (excused and reason.code in _EXCUSED))
        reasons += _check_state(tally, follower)
    ran = any(case.outcome in RAN for tally in chain for case in tally.cases.values())
    if not ran:
        reasons.append(error(Code.NOTHING_RAN, f"not one test of {kind} was executed"))
    return reasons


def _check_state(tally: _Tally, follower: _Tally | None) -> list[Reason]:
    attempt = tally.attempt
    if attempt.state is State.RUNNING:
        message = f"{attempt.name}: the harness was killed while its tests ran"
        return [error(Code.ATTEMPT_RUNNING, message)]
    if attempt.state is State.ENDED:
        return []
    if follower is None:
        return [error(Code.INTERRUPTED, f"{attempt.name}: the run was interrupted")]
    strange = tally.unreported ^ frozenset(follower.attempt.asked)
    if strange:
        message = (
            f"{follower.attempt.name} did not ask for exactly the tests that {attempt.name} left"
        )
        return [error(Code.RESUME_MISMATCH, message, tuple(sorted(strange)))]
    return [note(Code.RESUMED, f"{attempt.name} was interrupted, {follower.attempt.name} resumed")]


def _complain(cases: Sequence[Case]) -> list[Reason]:
    reasons = []
    for outcome, code, said in (
        (Outcome.MISSING, Code.LOST_TEST, "asked to run and without an outcome"),
        (Outcome.DUPLICATED, Code.DUPLICATED, "reported more than once"),
    ):
        ids = tuple(case.id for case in cases if case.outcome is outcome)
        if ids:
            reasons.append(error(code, f"{count(ids, 'test')} {said}", ids))
    return reasons
