# SPDX-License-Identifier: Apache-2.0
"""Makes the ledger: exactly one final outcome for each requested test."""

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

# The problems that an interruption causes. They are excused if a later attempt requested exactly
# the tests that have no outcome.
_EXCUSED = frozenset(
    {Code.EMPTY_STREAM, Code.EVIDENCE_LOST, Code.IN_PROGRESS, Code.TRUNCATED, Code.WORKER_LOST}
)
# The excused problems of a re-run of failures: no attempt requests its tests again. A lost file is
# not excused, because its results could contradict an excuse.
_CUT_SHORT = _EXCUSED.union({Code.LOST_TEST}) - {Code.EVIDENCE_LOST}
# The excused problems of a re-run that the harness ended at its time limit.
_TIME_UP = frozenset({Code.TIME_LIMIT, Code.IN_PROGRESS, Code.LOST_TEST})

_RERUNS = ": if the runner repeats failed tests (pytest --reruns), remove --reruns"
_BAD = frozenset({Outcome.FAIL, Outcome.UXSUCCESS})
_FIXTURES = frozenset({Synthetic.SET_UP, Synthetic.TEAR_DOWN})


@dataclass(frozen=True, slots=True)
class Ledger:
    """The final outcome of each requested test: ``cases`` has every requested id once, sorted.

    ``setup_failures`` are the class and module fixtures that failed. ``confirmations`` are the
    results of re-runs, which do not change the cases.
    """

    cases: tuple[Case, ...]
    setup_failures: tuple[Case, ...]
    reasons: tuple[Reason, ...]
    confirmations: tuple[Confirmation, ...] = ()


@dataclass(slots=True)
class _Tally:
    """The reports of one attempt: ``reports`` has the reports of each requested test, by id.

    ``ids`` are sorted. ``by_itself`` are the tests with a report of their own, not of a fixture.
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
        """Add a report of a requested test."""
        self.reports[report.id].append(report)
        self.ran |= report.outcome in RAN

    def members(self, made: Made) -> Sequence[str]:
        """Return the requested ids in the class, module or file of ``made``; they are adjacent."""
        begin = made.prefix
        end = begin[:-1] + chr(ord(begin[-1]) + 1)
        return self.ids[bisect_left(self.ids, begin) : bisect_left(self.ids, end)]


def reconcile(attempts: Iterable[Attempt]) -> Ledger:
    """Return the ledger of all attempts of a run; the order of ``attempts`` does not matter."""
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
    """Return the requested ids without an outcome in ``attempt``, in the order of the list.

    The ids include tests that succeeded in a module that an interrupted worker had not finished.
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
    # Sorted, so that the ledger does not depend on the order of the packets of several workers.
    seen: set[tuple[str, Outcome]] = set()
    for report, made_id in sorted(made, key=lambda pair: _order(pair[0])):
        _expand(tally, report, made_id, again=(report.id, report.outcome) in seen)
        seen.add((report.id, report.outcome))
    if unasked:
        message = f"{count(unasked, 'report')} of tests that were not requested"
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

    If a worker had not finished a module, fixtures in it may still fail in teardown. So a test that
    succeeded in it has to run again, unless the teardown of its class is known to have failed.
    """
    within = _module(report.id) in modules and broken.isdisjoint(scopes(report.id))
    return within and report.outcome not in _BAD


def _open_modules(attempt: Attempt) -> tuple[Set[str], Set[str]]:
    """Return the modules that workers had not finished, and the classes with a failed teardown.

    Both are empty unless the attempt was interrupted. They are also empty for a re-run of failures:
    only its results that contradict an excuse are used.

    The last report of each worker in the stream shows its module. The order of the stream is used,
    not the times, because a clock may be set back. Reports without a worker count as reports of
    one additional worker.
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
        # A worker's exit report does not finish its module.
    return set(last.values()), broken


def _module(test_id: str) -> str:
    _class, *packages = scopes(test_id) or [""]
    return next(iter(packages), _class)


def _check_asked(tally: _Tally) -> None:
    """Add an error if no test was requested, and an error for tests that were requested twice."""
    if not tally.attempt.asked:
        tally.add_error(Code.NOTHING_ASKED, "no test was requested")
    times = Counter(tally.attempt.asked)
    if twice := sorted(test_id for test_id, number in times.items() if number > 1):
        message = f"{count(twice, 'test')} more than once in the list of requested tests"
        tally.add_error(Code.ASKED_TWICE, message, twice)


def _order(case: Case) -> tuple[str, bool, str, str, str]:
    # Failures before skips: if a class has both, its tests have failed.
    good = case.outcome is not Outcome.FAIL
    return case.id, good, case.outcome, case.reason or "", case.details or ""


def _expand(tally: _Tally, report: Case, made: Made, *, again: bool) -> None:
    """Give the outcome of a report on a fixture to the tests in its scope that have none."""
    if made.kind is Synthetic.WORKER:
        message = f"a worker process failed ({report.reason or report.outcome})"
        tally.add_error(Code.WORKER_LOST, message, [report.id])
        return
    if made.kind is Synthetic.STREAM:
        tally.add_error(Code.DAMAGED, "the output of a worker could not be decoded", [report.id])
        return
    if report.outcome is Outcome.FAIL:
        tally.setup_failures.append(report)
    elif report.outcome is not Outcome.SKIP or made.kind is Synthetic.TEAR_DOWN:
        tally.add_error(Code.UNASKED, f"a fixture cannot end as {report.outcome}", [report.id])
        return
    if again:
        return
    members = tally.members(made)
    if not members and report.outcome is Outcome.SKIP and made.loaded:
        # The list is from the same collection, so it has none of these tests: none is lost.
        message = f"{tally.attempt.name}: {report.id}: {report.reason}"
        tally.reasons.append(note(Code.COVERAGE_LOST, message, (report.id,)))
    elif not members and all(one.code is not Code.NO_LIST for one in tally.attempt.problems):
        tally.add_error(Code.UNASKED, "none of the requested tests belongs to this id", [report.id])
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
    """Return one case for each requested test id, sorted by id."""
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
    """Judge each attempt of one kind, with the attempt that follows it; return the reasons."""
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
        message = f"{other} did not request exactly the tests without an outcome in {attempt.name}"
        return [error(Code.RESUME_MISMATCH, message, tuple(strange))]
    return [note(Code.RESUMED, f"{attempt.name} was interrupted, and {other} resumed it")]


def _lost_and_duplicated(cases: Sequence[Case], where: str = "") -> list[Reason]:
    reasons = []
    for outcome, code, said in (
        (Outcome.MISSING, Code.LOST_TEST, "without an outcome"),
        (Outcome.DUPLICATED, Code.DUPLICATED, f"reported more than once{_RERUNS}"),
    ):
        if ids := tuple(case.id for case in cases if case.outcome is outcome):
            reasons.append(error(code, f"{where}{count(ids, 'requested test')} {said}", ids))
    return reasons


def _confirm(attempt: Attempt, named: _Tally | None) -> tuple[Confirmation, list[Reason]]:
    """Return the results of ``attempt``, a re-run of failures, and the errors in the re-run.

    ``named`` is the earlier attempt in the field ``confirms``: each requested test must have failed
    in ``named``, or been in progress at the time limit of ``named``. If ``attempt`` was interrupted
    or reached its own time limit, a test without an outcome is not an error. A test that was in
    progress at both time limits has failed again.
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
        message = f"the re-run has {count(strange, 'test')} that did not fail in {attempt.confirms}"
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
            message = f"{attempt.name}: {count(lost, 'test')} not confirmed: time limit reached"
            reasons.append(note(Code.NOT_CONFIRMED, message, lost))
    else:
        # A test that passes, but breaks the teardown of its class, has not passed.
        torn = (synthetic(failure.id) for failure in tally.setup_failures)
        whole = not reasons and all(made.kind is not Synthetic.TEAR_DOWN for made in torn if made)
    return Confirmation(attempt.name, attempt.side, cases, whole), reasons
