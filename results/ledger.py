# SPDX-License-Identifier: Apache-2.0
"""What was asked to run against what reported back: every asked id in exactly one state."""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field, replace

from bsdgate.results.crosscheck import contradictions
from bsdgate.results.ids import Made, Synthetic, scopes, synthetic
from bsdgate.results.model import (
    RAN,
    Attempt,
    Case,
    Code,
    Confirmation,
    Kind,
    Outcome,
    Reason,
    State,
    count,
    error,
    note,
)
from bsdgate.results.setup_failures import inherited
from bsdgate.results.time_limits import not_ended, time_was_up, unfinished

# What an interruption does to a stream. It is excused if a later attempt asked again for exactly
# the tests that have no outcome.
_EXCUSED = frozenset(
    {Code.EMPTY_STREAM, Code.EVIDENCE_LOST, Code.IN_PROGRESS, Code.TRUNCATED, Code.WORKER_LOST}
)
# The same for an attempt that ran failures again: nothing asks for its tests again. A lost file is
# not excused, because its results could contradict an excuse.
_CUT_SHORT = _EXCUSED.union({Code.LOST_TEST}) - {Code.EVIDENCE_LOST}
# The same if the harness ended the tests at their time limit and closed their stream.
_TIME_UP = frozenset({Code.TIME_LIMIT, Code.IN_PROGRESS, Code.LOST_TEST})

_RERUNS = ": where the runner repeats failed tests (pytest --reruns), drop --reruns"
_BAD = frozenset({Outcome.FAIL, Outcome.UXSUCCESS})
_FIXTURES = frozenset({Synthetic.SET_UP, Synthetic.TEAR_DOWN})


@dataclass(frozen=True, slots=True)
class Ledger:
    """``cases`` has every asked id once, sorted; ``setup_failures`` are class and module fixtures.

    ``confirmations`` are the results of re-runs; they are not part of the account.
    """

    cases: tuple[Case, ...]
    setup_failures: tuple[Case, ...]
    reasons: tuple[Reason, ...]
    confirmations: tuple[Confirmation, ...] = ()


@dataclass(slots=True)
class _Tally:
    """What one attempt reported: ``reports`` has those of each of the ``ids``, which it asked for.

    The ids are sorted. ``by_itself`` are those with a report of their own and none of a fixture.
    """

    attempt: Attempt
    ids: Sequence[str]
    reports: dict[str, list[Case]]
    by_itself: set[str] = field(default_factory=set)
    setup_failures: list[Case] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)
    ran: bool = False

    @property
    def missing(self) -> set[str]:
        """The tests without an outcome."""
        return {test_id for test_id, reports in self.reports.items() if not reports}

    def add_error(self, code: Code, message: str, ids: Sequence[str] = ()) -> None:
        """Add an error of this attempt."""
        self.reasons.append(error(code, f"{self.attempt.name}: {message}", tuple(ids)))

    def take(self, report: Case) -> None:
        """Take a report of an asked test into the account."""
        self.reports[report.id].append(report)
        self.ran |= report.outcome in RAN

    def members(self, made: Made) -> Sequence[str]:
        """The ids of all tests of a class, module or file; in sorted order they are neighbours."""
        begin = made.prefix
        end = begin[:-1] + chr(ord(begin[-1]) + 1)
        return self.ids[bisect_left(self.ids, begin) : bisect_left(self.ids, end)]


def reconcile(attempts: Iterable[Attempt]) -> Ledger:
    """Make the account of all attempts of a run; their order does not matter."""
    ordered = sorted(attempts, key=lambda attempt: attempt.name)
    tallies = [_tally(attempt) for attempt in ordered if not attempt.confirms]
    chains: dict[Kind, list[_Tally]] = defaultdict(list)
    for tally in tallies:
        chains[tally.attempt.kind].append(tally)
    reasons: list[Reason] = []
    for kind, chain in chains.items():
        reasons += _judge_chain(kind, chain)
    cases = _cases(tallies)
    reasons += _lost_and_duplicated(cases)
    named = {(tally.attempt.name, tally.attempt.kind): tally for tally in tallies}
    confirmations = []
    for attempt in ordered:
        if attempt.confirms:
            confirmation, wrong = _confirm(attempt, named.get((attempt.confirms, attempt.kind)))
            confirmations.append(confirmation)
            reasons += wrong
    failures = sorted((one for tally in tallies for one in tally.setup_failures), key=_order)
    return Ledger(cases, tuple(failures), tuple(reasons), tuple(confirmations))


def unreported(attempt: Attempt) -> tuple[str, ...]:
    """Return the asked ids without an outcome in ``attempt``, in the order of the list.

    For an interrupted attempt they include good outcomes in modules in which a worker still was.
    """
    missing = _tally(attempt).missing
    return tuple(test_id for test_id in attempt.asked if test_id in missing)


def _tally(attempt: Attempt) -> _Tally:
    ids = sorted(set(attempt.asked))
    # A test that has begun was executed, even if it did not end.
    tally = _Tally(attempt, ids, {test_id: [] for test_id in ids}, ran=bool(unfinished(attempt)))
    _check_asked(tally)
    made: list[tuple[Case, Made]] = []
    unasked: list[str] = []
    modules, broken = _open_modules(attempt)
    for report in attempt.reports:
        if report.id in tally.reports:
            if modules and _left_open(report, modules, broken):
                tally.ran |= report.outcome in RAN
            else:
                tally.take(report)
                tally.by_itself.add(report.id)
        elif made_id := synthetic(report.id):
            made.append((report, made_id))
        else:
            unasked.append(report.id)
    # Sorted, so that the account does not depend on the order of the packets of several workers.
    seen: set[tuple[str, Outcome]] = set()
    for report, made_id in sorted(made, key=lambda pair: _order(pair[0])):
        _expand(tally, report, made_id, again=(report.id, report.outcome) in seen)
        seen.add((report.id, report.outcome))
    if unasked:
        message = f"{count(unasked, 'report')} of tests that were not asked to run"
        tally.add_error(Code.UNASKED, message, sorted(unasked))
    tally.reasons += (of(attempt, problem) for problem in attempt.problems)
    failed = any(report.outcome is Outcome.FAIL for report in attempt.reports)
    tally.reasons += contradictions(attempt, failed=failed)
    if attempt.state is State.RUNNING:
        tally.add_error(Code.ATTEMPT_RUNNING, "the harness was killed while its tests ran")
    return tally


def of(attempt: Attempt, problem: Reason) -> Reason:
    """Return a problem of the attempt as a reason of the run, with the name of the attempt."""
    return replace(problem, message=f"{attempt.name}: {problem.message}")


def _left_open(report: Case, modules: Set[str], broken: Set[str]) -> bool:
    """Return whether an outcome of an interrupted attempt does not count.

    In the module in which a worker was, the teardown of the fixtures is not known. So a test that
    succeeded there has to run again, unless the teardown of its class was seen to fail.
    """
    within = _module(report.id) in modules and broken.isdisjoint(scopes(report.id))
    return within and report.outcome not in _BAD


def _open_modules(attempt: Attempt) -> tuple[Set[str], Set[str]]:
    """Return the modules in which workers were at the end, and the classes with a failed teardown.

    They are empty unless the attempt was interrupted. An attempt that confirms failures is exempt:
    only its results against an excuse are used.

    The last report of each worker in the stream shows its module. The order of the stream is used,
    not the times, because a clock may be set back. Reports without a worker count as those of one
    more worker.
    """
    last: dict[str | None, str] = {}
    broken: set[str] = set()
    interrupted = attempt.state is State.INTERRUPTED and not attempt.confirms
    for report in attempt.reports if interrupted else ():
        made = synthetic(report.id)
        if made is None:
            last[report.worker] = _module(report.id)
        elif made.kind in _FIXTURES:
            last[report.worker] = made.scope.rpartition(".")[0]
            broken.update({made.scope} if made.kind is Synthetic.TEAR_DOWN else ())
        # The report of how a worker ended does not end its module.
    return set(last.values()), broken


def _module(test_id: str) -> str:
    _class, *packages = scopes(test_id) or [""]
    return next(iter(packages), _class)


def _check_asked(tally: _Tally) -> None:
    """Add errors for an empty list, and for tests that it has more than once."""
    if not tally.attempt.asked:
        tally.add_error(Code.NOTHING_ASKED, "no test was asked to run")
    times = Counter(tally.attempt.asked)
    if twice := sorted(test_id for test_id, number in times.items() if number > 1):
        message = f"{count(twice, 'test')} listed more than once"
        tally.add_error(Code.ASKED_TWICE, message, twice)


def _order(case: Case) -> tuple[str, bool, str, str, str]:
    # Failures before skips: if a class has both, its tests have failed.
    good = case.outcome is not Outcome.FAIL
    return case.id, good, case.outcome, case.reason or "", case.details or ""


def _expand(tally: _Tally, report: Case, made: Made, *, again: bool) -> None:
    """Give the outcome of a synthetic report to the tests in its scope that have none."""
    if made.kind is Synthetic.WORKER:
        message = f"a worker process ended badly ({report.reason or report.outcome})"
        tally.add_error(Code.WORKER_LOST, message, [report.id])
        return
    if made.kind is Synthetic.STREAM:
        tally.add_error(Code.DAMAGED, "what a worker sent could not be decoded", [report.id])
        return
    if report.outcome is Outcome.FAIL:
        tally.setup_failures.append(report)
    elif report.outcome is not Outcome.SKIP or made.kind is Synthetic.TEAR_DOWN:
        tally.add_error(Code.UNASKED, f"a fixture cannot end in {report.outcome}", [report.id])
        return
    if again:
        return
    members = tally.members(made)
    if not members and report.outcome is Outcome.SKIP and made.loaded:
        # A list from the same collection has none of its tests, so none is lost.
        message = f"{tally.attempt.name}: {report.id}: {report.reason}"
        tally.reasons.append(note(Code.COVERAGE_LOST, message, (report.id,)))
    elif not members and all(one.code is not Code.NO_LIST for one in tally.attempt.problems):
        tally.add_error(Code.UNASKED, "no asked test belongs to what reported", [report.id])
    if made.kind is not Synthetic.TEAR_DOWN:
        _inherit(tally, report, members)


def _inherit(tally: _Tally, report: Case, members: Iterable[str]) -> None:
    """Give the outcome of a class or module fixture to its tests that have none."""
    skipped = report.outcome is Outcome.SKIP
    shared = replace(
        report,
        reason=report.reason if skipped else inherited(report),
        details=None,
        setup_failure=None if skipped else report.id,
    )
    for test_id in members:
        # A skipped class runs nothing: a test of it that did run is a contradiction.
        contradicted = skipped and test_id in tally.by_itself
        if contradicted or not tally.reports[test_id]:
            tally.by_itself.discard(test_id)
            tally.take(replace(shared, id=test_id))


def _cases(tallies: Iterable[_Tally]) -> tuple[Case, ...]:
    """Return one case for each asked id, sorted."""
    found: dict[str, list[Case]] = defaultdict(list)
    for tally in tallies:
        for test_id, reports in tally.reports.items():
            found[test_id] += reports
    return tuple(_one_case(test_id, found[test_id]) for test_id in sorted(found))


def _one_case(test_id: str, found: Sequence[Case]) -> Case:
    if not found:
        return Case(test_id, Outcome.MISSING, reason="no outcome was reported")
    if len(found) == 1:
        return found[0]
    outcomes = ", ".join(sorted(case.outcome for case in found))
    details = sorted(case.details for case in found if case.details)
    reason = f"reported {len(found)} times: {outcomes}"
    return Case(test_id, Outcome.DUPLICATED, reason=reason, details=next(iter(details), None))


def _judge_chain(kind: Kind, chain: Sequence[_Tally]) -> list[Reason]:
    """Judge the attempts of one kind, each together with the attempt that followed it."""
    reasons: list[Reason] = []
    followers: list[_Tally | None] = [*chain[1:], None]
    for tally, follower in zip(chain, followers, strict=True):
        excused = tally.attempt.state is State.INTERRUPTED and follower is not None
        reasons += (reason for reason in tally.reasons if not (excused and reason.code in _EXCUSED))
        reasons += _check_state(tally, follower)
    if not any(tally.ran for tally in chain):
        reasons.append(error(Code.NOTHING_RAN, f"not one test of {kind} was executed"))
    return reasons


def _check_state(tally: _Tally, follower: _Tally | None) -> list[Reason]:
    attempt = tally.attempt
    if attempt.state is not State.INTERRUPTED:
        return []
    if follower is None:
        return [error(Code.INTERRUPTED, f"{attempt.name}: the run was interrupted")]
    other = follower.attempt.name
    if strange := sorted(tally.missing ^ set(follower.ids)):
        message = f"{other} did not ask for exactly the tests that {attempt.name} left"
        return [error(Code.RESUME_MISMATCH, message, tuple(strange))]
    return [note(Code.RESUMED, f"{attempt.name} was interrupted, {other} resumed")]


def _lost_and_duplicated(cases: Sequence[Case], where: str = "") -> list[Reason]:
    reasons = []
    for outcome, code, said in (
        (Outcome.MISSING, Code.LOST_TEST, "asked to run and without an outcome"),
        (Outcome.DUPLICATED, Code.DUPLICATED, f"reported more than once{_RERUNS}"),
    ):
        if ids := tuple(case.id for case in cases if case.outcome is outcome):
            reasons.append(error(code, f"{where}{count(ids, 'test')} {said}", ids))
    return reasons


def _confirm(attempt: Attempt, named: _Tally | None) -> tuple[Confirmation, list[Reason]]:
    """Return the results of an attempt that ran failures again, and its errors.

    ``named`` is the attempt that it confirms: only tests may be asked that failed in it, or were in
    progress at its time limit. If this attempt was interrupted or reached its own time limit, a
    test without an outcome is not an error. A test that hung and is in progress again has failed
    again.
    """
    tally = _tally(attempt)
    begun = unfinished(named.attempt) if named else set()
    hung = begun & unfinished(attempt)
    cases = tuple(
        not_ended(case.id, attempt.test_timeout) if case.id in hung else case
        for case in _cases([tally])
    )
    failed = {
        test_id
        for test_id, reports in (named.reports.items() if named else ())
        if any(report.outcome is Outcome.FAIL for report in reports)
    }
    if strange := sorted(set(attempt.asked) - failed - begun):
        message = f"it runs {count(strange, 'test')} again that did not fail in {attempt.confirms}"
        tally.add_error(Code.UNASKED, message, strange)
    faults = _lost_and_duplicated(cases, f"{attempt.name}: ")
    reasons = [*tally.reasons, *faults]
    if attempt.state is State.INTERRUPTED:
        message = f"{attempt.name} was interrupted: it confirms nothing"
        wrong = (reason for reason in reasons if reason.code not in _CUT_SHORT)
        reasons = [note(Code.NOT_CONFIRMED, message, tuple(tally.ids)), *wrong]
        whole = False
    elif time_was_up(attempt):
        reasons = [reason for reason in reasons if reason.code not in _TIME_UP]
        lost = tuple(case.id for case in cases if case.outcome is Outcome.MISSING)
        whole = not lost and not reasons
        if lost:
            message = f"{attempt.name}: the time of {count(lost, 'test')} was up: nothing confirmed"
            reasons.append(note(Code.NOT_CONFIRMED, message, lost))
    else:
        # A test that passes, but breaks the teardown of its class, has not passed.
        torn = (synthetic(failure.id) for failure in tally.setup_failures)
        whole = not reasons and all(made.kind is not Synthetic.TEAR_DOWN for made in torn if made)
    return Confirmation(attempt.name, attempt.side, cases, whole), reasons
