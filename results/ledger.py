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

# What an interruption does to a stream. It costs nothing where a later attempt asked again for
# exactly the tests that have no outcome.
_EXCUSED = frozenset(
    {Code.EMPTY_STREAM, Code.EVIDENCE_LOST, Code.IN_PROGRESS, Code.TRUNCATED, Code.WORKER_LOST}
)
# The same of what was run again and is never asked again. A file of it that is gone may have spoken
# against an excuse.
_CUT_SHORT = _EXCUSED.union({Code.LOST_TEST}) - {Code.EVIDENCE_LOST}
# The same where the harness itself ended the tests and closed their stream.
_TIME_UP = frozenset({Code.TIME_LIMIT, Code.IN_PROGRESS, Code.LOST_TEST})

_RERUNS = ": where the runner repeats failed tests (pytest --reruns), drop --reruns"
_BAD = frozenset({Outcome.FAIL, Outcome.UXSUCCESS})
_FIXTURES = frozenset({Synthetic.SET_UP, Synthetic.TEAR_DOWN})


@dataclass(frozen=True, slots=True)
class Ledger:
    """``cases`` has every asked id once, sorted; ``setup_failures`` are class and module fixtures.

    ``confirmations`` are what running failures again gave: no part of the account.
    """

    cases: tuple[Case, ...]
    setup_failures: tuple[Case, ...]
    reasons: tuple[Reason, ...]
    confirmations: tuple[Confirmation, ...] = ()


class _Mark(Enum):
    """What an attempt reported about a test that it was asked to run."""

    SILENT = auto()
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
        """Every id in its one state."""
        return tuple(_settled(test_id, found) for test_id, found in self._reports.items())


def _settled(test_id: str, found: Sequence[Case]) -> Case:
    if not found:
        return Case(test_id, Outcome.MISSING, reason="no outcome was reported")
    return found[0] if len(found) == 1 else _duplicated(found)


@dataclass(slots=True)
class _Tally:
    """The part of one attempt in the account; ``marks`` has each test that it was asked."""

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

    def complain(self, code: Code, message: str, ids: Sequence[str] = ()) -> None:
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
    """Make the account of all attempts of a run, in whatever order they are given."""
    ordered = sorted(attempts, key=lambda attempt: attempt.name)
    first = [attempt for attempt in ordered if not attempt.confirms]
    account = _Account(first)
    chains: dict[Kind, list[_Tally]] = defaultdict(list)
    for attempt in first:
        chains[attempt.kind].append(_tally(attempt, account))
    reasons: list[Reason] = []
    for kind, chain in chains.items():
        reasons += _link(kind, chain)
    tallies = list(chained.from_iterable(chains.values()))
    cases = account.cases()
    reasons += _complain(cases)
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
    """The asked ids that ``attempt`` gives no outcome, in the order in which they were asked.

    Of an interrupted attempt these are also the good outcomes in modules that were not left yet.
    """
    marks = _tally(attempt, _Account([attempt])).marks
    return tuple(test_id for test_id in attempt.asked if marks[test_id] is _Mark.SILENT)


def _tally(attempt: Attempt, account: _Account) -> _Tally:
    tally = _Tally(attempt)
    _check_asked(tally)
    made: list[tuple[Case, Made]] = []
    unasked: list[str] = []
    failed = False
    left_open = _left_open(attempt)
    # A test that has begun was executed, however far it came.
    tally.ran = bool(unfinished(attempt))
    for report in attempt.reports:
        failed = failed or report.outcome is Outcome.FAIL
        if report.id in tally.marks:
            if left_open and left_open(report):
                tally.ran |= report.outcome in RAN
            else:
                tally.take(account, report, _Mark.REPORTED)
        elif speaks := synthetic(report.id):
            made.append((report, speaks))
        else:
            unasked.append(report.id)
    # Sorted, so that the account is the same in whatever order workers wrote their packets.
    said: set[tuple[str, Outcome]] = set()
    for report, speaks in sorted(made, key=lambda pair: _order(pair[0])):
        _expand(tally, account, report, speaks, again=(report.id, report.outcome) in said)
        said.add((report.id, report.outcome))
    if unasked:
        message = f"{count(unasked, 'report')} of tests that were not asked to run"
        tally.complain(Code.UNASKED, message, sorted(unasked))
    for problem in attempt.problems:
        tally.reasons.append(of(attempt, problem))
    tally.reasons += contradictions(attempt, failed=failed)
    return tally


def of(attempt: Attempt, problem: Reason) -> Reason:
    """Return a problem of the attempt as a reason of the run's, which says of which attempt."""
    return replace(problem, message=f"{attempt.name}: {problem.message}")


def _left_open(attempt: Attempt) -> Callable[[Case], bool] | None:
    """Tell the outcomes of an interrupted attempt that do not count: nobody saw what came of them.

    How the fixtures are torn down of a module in which a worker was, nobody has seen, so what
    succeeded in it has to run again, but for the tests of a class whose end was seen to fail. What
    was run again to confirm a failure is only ever asked what speaks against an excuse.
    """
    if attempt.state is not State.INTERRUPTED or attempt.confirms:
        return None
    modules, broken = _open_modules(attempt.reports)

    def left_open(report: Case) -> bool:
        within = _module(report.id) in modules and broken.isdisjoint(scopes(report.id))
        return within and report.outcome not in _BAD

    return left_open


def _open_modules(reports: Iterable[Case]) -> tuple[Set[str], Set[str]]:
    """The modules that workers were in when all ended, and the classes that were torn down badly.

    The last report of each worker in the stream says where it was: a worker's reports stand there
    in the order in which it made them, and a clock may be set back. Reports without a worker are
    taken for those of one more.
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
        # How a worker ended does not end the module that it was in.
    return set(last.values()), broken


def _module(test_id: str) -> str:
    _class, *packages = scopes(test_id) or [""]
    return next(iter(packages), _class)


def _check_asked(tally: _Tally) -> None:
    """Mark what was asked."""
    twice = set()
    for test_id in tally.attempt.asked:
        if test_id in tally.marks:
            twice.add(test_id)
        tally.marks[test_id] = _Mark.SILENT
    if not tally.attempt.asked:
        tally.complain(Code.NOTHING_ASKED, "no test was asked to run")
    if twice:
        message = f"{count(twice, 'test')} listed more than once"
        tally.complain(Code.ASKED_TWICE, message, sorted(twice))


def _order(case: Case) -> tuple[str, bool, str, str, str]:
    # Failures before skips: where both speak for a class, its tests have failed.
    good = case.outcome is not Outcome.FAIL
    return case.id, good, case.outcome, case.reason or "", case.details or ""


def _expand(tally: _Tally, account: _Account, report: Case, made: Made, *, again: bool) -> None:
    """Give a synthetic report's outcome to the tests it speaks for, unless they have it."""
    if made.kind is Synthetic.WORKER:
        message = f"a worker process ended badly ({report.reason or report.outcome})"
        tally.complain(Code.WORKER_LOST, message, [report.id])
        return
    if made.kind is Synthetic.STREAM:
        tally.complain(Code.DAMAGED, "what a worker sent could not be decoded", [report.id])
        return
    if report.outcome is Outcome.FAIL:
        tally.setup_failures.append(report)
    elif report.outcome is not Outcome.SKIP or made.kind is Synthetic.TEAR_DOWN:
        tally.complain(Code.UNASKED, f"a fixture cannot end in {report.outcome}", [report.id])
        return
    if again:
        return
    members = [test_id for test_id in account.members(made) if test_id in tally.marks]
    if not members and report.outcome is Outcome.SKIP and made.loaded:
        # A list that was made in the same way has none of its tests: none is lost.
        message = f"{tally.attempt.name}: {report.id}: {report.reason}"
        tally.reasons.append(note(Code.COVERAGE_LOST, message, (report.id,)))
    elif not members and tally.listed:
        tally.complain(Code.UNASKED, "no asked test belongs to what reported", [report.id])
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
        if mark is _Mark.SILENT or contradicted:
            now = _Mark.CONTRADICTED if contradicted else _Mark.BY_FIXTURE
            tally.take(account, replace(shared, id=test_id), now)


def _duplicated(found: Sequence[Case]) -> Case:
    told = ", ".join(sorted(case.outcome for case in found))
    details = sorted(case.details for case in found if case.details)
    return Case(
        found[0].id,
        Outcome.DUPLICATED,
        reason=f"reported {len(found)} times: {told}",
        details=details[0] if details else None,
    )


def _link(kind: Kind, chain: Sequence[_Tally]) -> list[Reason]:
    """Judge the attempts of one kind, each in the light of the one that followed it."""
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
    left = {test_id for test_id, mark in tally.marks.items() if mark is _Mark.SILENT}
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


def _complain(cases: Sequence[Case], where: str = "") -> list[Reason]:
    reasons = []
    for outcome, code, said in (
        (Outcome.MISSING, Code.LOST_TEST, "asked to run and without an outcome"),
        (Outcome.DUPLICATED, Code.DUPLICATED, f"reported more than once{_RERUNS}"),
    ):
        if ids := tuple(case.id for case in cases if case.outcome is outcome):
            reasons.append(error(code, f"{where}{count(ids, 'test')} {said}", ids))
    return reasons


def _confirm(attempt: Attempt, named: _Tally | None) -> tuple[Confirmation, list[Reason]]:
    """What an attempt that ran failures again found; its evidence must be whole by itself.

    ``named`` is the attempt that it names: no other test may be asked than those that failed in it,
    or had not ended when its time was up. One that was interrupted, or itself ran out of time, says
    nothing of tests that it did not report, which is no fault of it. A test that hung and is in
    progress again has failed again.
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
        tally.complain(Code.UNASKED, message, strange)
    reasons = [*tally.reasons, *_complain(cases, f"{attempt.name}: "), *_check_running(attempt)]
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
        # A test that passes and leaves its class broken has not passed.
        whole = not reasons and not any(map(_tears_down, tally.setup_failures))
    return Confirmation(attempt.name, attempt.side, cases, whole), reasons
