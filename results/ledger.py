# SPDX-License-Identifier: Apache-2.0
"""What was asked to run against what reported back: every asked id in exactly one state."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from itertools import chain as chained

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


class _Mark(Enum):
    """What an attempt reported about a test that it was asked to run."""

    NOT_REPORTED = auto()
    BY_FIXTURE = auto()
    REPORTED = auto()
    CONTRADICTED = auto()


class _Account:
    """Every asked id, with everything that was reported about it."""

    def __init__(self, attempts: Iterable[Attempt]) -> None:
        asked = chained.from_iterable(attempt.asked for attempt in attempts)
        self._reports: dict[str, list[Case]] = {test_id: [] for test_id in sorted(set(asked))}
        self.ids = tuple(self._reports)

    def add(self, report: Case) -> None:
        """Add a report of an asked test."""
        self._reports[report.id].append(report)

    def members(self, made: Made) -> Sequence[str]:
        """The ids of all tests of a class, module or file; in sorted order they are neighbours."""
        begin = made.prefix
        end = begin[:-1] + chr(ord(begin[-1]) + 1)
        return self.ids[bisect_left(self.ids, begin) : bisect_left(self.ids, end)]

    def cases(self) -> tuple[Case, ...]:
        """Return one case for each id."""
        return tuple(_one_case(test_id, found) for test_id, found in self._reports.items())


def _one_case(test_id: str, found: Sequence[Case]) -> Case:
    if not found:
        return Case(test_id, Outcome.MISSING, reason="no outcome was reported")
    return found[0] if len(found) == 1 else _duplicated(found)


@dataclass(slots=True)
class _Tally:
    """The part of one attempt in the account; ``marks`` has each test that it asked for."""

    attempt: Attempt
    marks: dict[str, _Mark] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    setup_failures: list[Case] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)
    ran: bool = False

    @property
    def listed(self) -> bool:
        """Whether there is a list of what was asked."""
        return all(problem.code is not Code.NO_LIST for problem in self.attempt.problems)

    def add_error(self, code: Code, message: str, ids: Sequence[str] = ()) -> None:
        """Add an error of this attempt."""
        self.reasons.append(error(code, f"{self.attempt.name}: {message}", tuple(ids)))

    def take(self, account: _Account, report: Case, mark: _Mark) -> None:
        """Take a report of an asked test into the account."""
        account.add(report)
        self.marks[report.id] = mark
        self.ran |= report.outcome in RAN
        if report.outcome is Outcome.FAIL:
            self.failed.add(report.id)


def reconcile(attempts: Iterable[Attempt]) -> Ledger:
    """Make the account of all attempts of a run; their order does not matter."""
    ordered = sorted(attempts, key=lambda attempt: attempt.name)
    first = [attempt for attempt in ordered if not attempt.confirms]
    account = _Account(first)
    chains: dict[Kind, list[_Tally]] = defaultdict(list)
    for attempt in first:
        chains[attempt.kind].append(_tally(attempt, account))
    reasons: list[Reason] = []
    for kind, chain in chains.items():
        reasons += _judge_chain(kind, chain)
    tallies = list(chained.from_iterable(chains.values()))
    cases = account.cases()
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
    marks = _tally(attempt, _Account([attempt])).marks
    return tuple(test_id for test_id in attempt.asked if marks[test_id] is _Mark.NOT_REPORTED)


def _tally(attempt: Attempt, account: _Account) -> _Tally:
    tally = _Tally(attempt)
    _check_asked(tally)
    made: list[tuple[Case, Made]] = []
    unasked: list[str] = []
    failed = False
    left_open = _left_open(attempt)
    # A test that has begun was executed, even if it did not end.
    tally.ran = bool(unfinished(attempt))
    for report in attempt.reports:
        failed = failed or report.outcome is Outcome.FAIL
        if report.id in tally.marks:
            if left_open and left_open(report):
                tally.ran |= report.outcome in RAN
            else:
                tally.take(account, report, _Mark.REPORTED)
        elif made_id := synthetic(report.id):
            made.append((report, made_id))
        else:
            unasked.append(report.id)
    # Sorted, so that the account does not depend on the order of the packets of several workers.
    seen: set[tuple[str, Outcome]] = set()
    for report, made_id in sorted(made, key=lambda pair: _order(pair[0])):
        _expand(tally, account, report, made_id, again=(report.id, report.outcome) in seen)
        seen.add((report.id, report.outcome))
    if unasked:
        message = f"{count(unasked, 'report')} of tests that were not asked to run"
        tally.add_error(Code.UNASKED, message, sorted(unasked))
    for problem in attempt.problems:
        tally.reasons.append(of(attempt, problem))
    tally.reasons += contradictions(attempt, failed=failed)
    return tally


def of(attempt: Attempt, problem: Reason) -> Reason:
    """Return a problem of the attempt as a reason of the run, with the name of the attempt."""
    return replace(problem, message=f"{attempt.name}: {problem.message}")


def _left_open(attempt: Attempt) -> Callable[[Case], bool] | None:
    """Return a test for the outcomes of an interrupted attempt that do not count; None if all do.

    In the module in which a worker was, the teardown of the fixtures is not known. So a test that
    succeeded there has to run again, unless the teardown of its class was seen to fail. An attempt
    that confirms failures is exempt: only its results against an excuse are used.
    """
    if attempt.state is not State.INTERRUPTED or attempt.confirms:
        return None
    modules, broken = _open_modules(attempt.reports)

    def left_open(report: Case) -> bool:
        within = _module(report.id) in modules and broken.isdisjoint(scopes(report.id))
        return within and report.outcome not in _BAD

    return left_open


def _open_modules(reports: Iterable[Case]) -> tuple[Set[str], Set[str]]:
    """Return the modules in which workers were at the end, and the classes with a failed teardown.

    The last report of each worker in the stream shows its module. The order of the stream is used,
    not the times, because a clock may be set back. Reports without a worker count as those of one
    more worker.
    """
    last: dict[str | None, str] = {}
    broken: set[str] = set()
    for report in reports:
        made = synthetic(report.id)
        if made is None:
            last[report.worker] = _module(report.id)
        elif made.kind in _FIXTURES:
            last[report.worker] = made.scope.rpartition(".")[0]
            broken.update({made.scope} if _tears_down(report) else ())
        # The report of how a worker ended does not end its module.
    return set(last.values()), broken


def _module(test_id: str) -> str:
    _class, *packages = scopes(test_id) or [""]
    return next(iter(packages), _class)


def _check_asked(tally: _Tally) -> None:
    """Mark each asked test as not reported; add errors for an empty list and for duplicates."""
    twice = set()
    for test_id in tally.attempt.asked:
        if test_id in tally.marks:
            twice.add(test_id)
        tally.marks[test_id] = _Mark.NOT_REPORTED
    if not tally.attempt.asked:
        tally.add_error(Code.NOTHING_ASKED, "no test was asked to run")
    if twice:
        message = f"{count(twice, 'test')} listed more than once"
        tally.add_error(Code.ASKED_TWICE, message, sorted(twice))


def _order(case: Case) -> tuple[str, bool, str, str, str]:
    # Failures before skips: if a class has both, its tests have failed.
    good = case.outcome is not Outcome.FAIL
    return case.id, good, case.outcome, case.reason or "", case.details or ""


def _expand(tally: _Tally, account: _Account, report: Case, made: Made, *, again: bool) -> None:
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
    members = [test_id for test_id in account.members(made) if test_id in tally.marks]
    if not members and report.outcome is Outcome.SKIP and made.loaded:
        # A list from the same collection has none of its tests, so none is lost.
        message = f"{tally.attempt.name}: {report.id}: {report.reason}"
        tally.reasons.append(note(Code.COVERAGE_LOST, message, (report.id,)))
    elif not members and tally.listed:
        tally.add_error(Code.UNASKED, "no asked test belongs to what reported", [report.id])
    if made.kind is not Synthetic.TEAR_DOWN:
        _inherit(tally, account, report, members)


def _tears_down(fixture: Case) -> bool:
    made = synthetic(fixture.id)
    return made is not None and made.kind is Synthetic.TEAR_DOWN


def _inherit(tally: _Tally, account: _Account, report: Case, members: Iterable[str]) -> None:
    """Give the outcome of a class or module fixture to its tests that have none."""
    skipped = report.outcome is Outcome.SKIP
    shared = replace(
        report,
        reason=report.reason if skipped else inherited(report),
        details=None,
        setup_failure=None if skipped else report.id,
    )
    for test_id in members:
        mark = tally.marks[test_id]
        # A skipped class runs nothing: a test of it that did run is a contradiction.
        contradicted = mark is _Mark.REPORTED and skipped
        if mark is _Mark.NOT_REPORTED or contradicted:
            now = _Mark.CONTRADICTED if contradicted else _Mark.BY_FIXTURE
            tally.take(account, replace(shared, id=test_id), now)


def _duplicated(found: Sequence[Case]) -> Case:
    outcomes = ", ".join(sorted(case.outcome for case in found))
    details = sorted(case.details for case in found if case.details)
    return Case(
        found[0].id,
        Outcome.DUPLICATED,
        reason=f"reported {len(found)} times: {outcomes}",
        details=details[0] if details else None,
    )


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
        return _check_running(attempt)
    if follower is None:
        return [error(Code.INTERRUPTED, f"{attempt.name}: the run was interrupted")]
    left = {test_id for test_id, mark in tally.marks.items() if mark is _Mark.NOT_REPORTED}
    if strange := sorted(left ^ follower.marks.keys()):
        message = (
            f"{follower.attempt.name} did not ask for exactly the tests that {attempt.name} left"
        )
        return [error(Code.RESUME_MISMATCH, message, tuple(strange))]
    return [note(Code.RESUMED, f"{attempt.name} was interrupted, {follower.attempt.name} resumed")]


def _check_running(attempt: Attempt) -> list[Reason]:
    if attempt.state is not State.RUNNING:
        return []
    message = f"{attempt.name}: the harness was killed while its tests ran"
    return [error(Code.ATTEMPT_RUNNING, message)]


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
    account = _Account([attempt])
    tally = _tally(attempt, account)
    failed, begun = (named.failed, unfinished(named.attempt)) if named else (set[str](), set[str]())
    hung = begun & unfinished(attempt)
    cases = tuple(
        not_ended(case.id, attempt.test_timeout) if case.id in hung else case
        for case in account.cases()
    )
    if strange := sorted(set(attempt.asked) - failed - begun):
        message = f"it runs {count(strange, 'test')} again that did not fail in {attempt.confirms}"
        tally.add_error(Code.UNASKED, message, strange)
    faults = _lost_and_duplicated(cases, f"{attempt.name}: ")
    reasons = [*tally.reasons, *faults, *_check_running(attempt)]
    if attempt.state is State.INTERRUPTED:
        message = f"{attempt.name} was interrupted: it confirms nothing"
        wrong = (reason for reason in reasons if reason.code not in _CUT_SHORT)
        reasons = [note(Code.NOT_CONFIRMED, message, account.ids), *wrong]
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
        whole = not reasons and not any(map(_tears_down, tally.setup_failures))
    return Confirmation(attempt.name, attempt.side, cases, whole), reasons
