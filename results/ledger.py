# SPDX-License-Identifier: Apache-2.0
"""What was asked to run against what reported back: every asked id in exactly one state."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass, field, replace
from enum import IntEnum
from itertools import chain as chained

from bsdgate.results.cases import Cases
from bsdgate.results.fixtures import by_fixture
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
from bsdgate.results.time_limits import not_ended, time_was_up, unfinished
from bsdgate.results.witness import contradictions

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
    """``cases`` has every asked id once; ``fixtures`` are failures that are no test's own.

    ``confirmations`` are what came of running failures again: no part of the account.
    """

    cases: Cases
    fixtures: tuple[Case, ...]
    reasons: tuple[Reason, ...]
    confirmations: tuple[Confirmation, ...] = ()


class _Mark(IntEnum):
    """What an attempt has to do with a test of the account; contradicted once is enough."""

    UNASKED = 0
    SILENT = 1
    SPOKEN_FOR = 2
    REPORTED = 3
    CONTRADICTED = 4


class _Account:
    """Every asked id and its one state, from everything that was reported of it."""

    def __init__(self, attempts: Iterable[Attempt]) -> None:
        asked = chained.from_iterable(attempt.asked for attempt in attempts)
        self.cases = Cases.missing(asked, "no outcome was reported")
        self._several: dict[int, list[Case]] = {}

    def add(self, place: int, report: Case) -> None:
        """Take a report of the id at that place."""
        if place in self._several:
            self._several[place].append(report)
        elif self.cases.outcome(place) is Outcome.MISSING:
            self.cases[place] = report
        else:
            self._several[place] = [self.cases[place], report]

    def members(self, made: Made) -> range:
        """The places of all ids in what ``made`` speaks for; sorted, they stand together."""
        ids, begin = self.cases.ids, made.prefix
        end = begin[:-1] + chr(ord(begin[-1]) + 1)
        return range(bisect_left(ids, begin), bisect_left(ids, end))

    def settled(self) -> Cases:
        """Every id in its one state; who reports of it afterwards comes too late."""
        for place, found in self._several.items():
            self.cases[place] = _duplicated(found)
        return self.cases


@dataclass(slots=True)
class _Tally:
    """One attempt's part in the account: ``marks`` has a _Mark for each of its places."""

    attempt: Attempt
    marks: bytearray
    failed: set[str] = field(default_factory=set)
    fixtures: list[Case] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)
    ran: bool = False

    @property
    def listed(self) -> bool:
        """Whether anybody knows what was asked."""
        return all(problem.code is not Code.NO_LIST for problem in self.attempt.problems)

    def complain(self, code: Code, message: str, ids: Sequence[str] = ()) -> None:
        """Add an error of this attempt."""
        self.reasons.append(error(code, f"{self.attempt.name}: {message}", tuple(ids)))

    def take(self, account: _Account, place: int, report: Case, mark: _Mark) -> None:
        """Take a report of an asked test into the account."""
        account.add(place, report)
        self.marks[place] = mark
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
        reasons += _link(kind, chain, account.cases.ids)
    tallies = list(chained.from_iterable(chains.values()))
    cases = account.settled()
    reasons += _complain(cases)
    named = {(tally.attempt.name, tally.attempt.kind): tally for tally in tallies}
    confirmations = []
    for attempt in ordered:
        if attempt.confirms:
            confirmation, wrong = _confirm(attempt, named.get((attempt.confirms, attempt.kind)))
            confirmations.append(confirmation)
            reasons += wrong
    fixtures = sorted((one for tally in tallies for one in tally.fixtures), key=_order)
    return Ledger(cases, tuple(fixtures), tuple(reasons), tuple(confirmations))


def unreported(attempt: Attempt) -> tuple[str, ...]:
    """The asked ids that ``attempt`` gives no outcome, in the order in which they were asked.

    Of an interrupted attempt these are also the good outcomes in modules that were not left yet.
    """
    account = _Account([attempt])
    marks = _tally(attempt, account).marks
    lost = {account.cases.ids[place] for place, mark in enumerate(marks) if mark == _Mark.SILENT}
    return tuple(test_id for test_id in attempt.asked if test_id in lost)


def _tally(attempt: Attempt, account: _Account) -> _Tally:
    tally = _Tally(attempt, bytearray(len(account.cases)))
    _check_asked(tally, account.cases)
    made: list[tuple[Case, Made]] = []
    unasked: list[str] = []
    failed = False
    left_open = _left_open(attempt)
    # A test that has begun was executed, however far it came.
    tally.ran = bool(unfinished(attempt))
    for report in attempt.reports:
        failed = failed or report.outcome is Outcome.FAIL
        place = account.cases.place(report.id)
        if place is not None and tally.marks[place]:
            if left_open and left_open(report):
                tally.ran |= report.outcome in RAN
            else:
                tally.take(account, place, report, _Mark.REPORTED)
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


def _check_asked(tally: _Tally, cases: Cases) -> None:
    """Mark what was asked, each of which is in ``cases``."""
    twice = set()
    for test_id in tally.attempt.asked:
        place = cases.place(test_id)
        assert place is not None  # the account is made of what was asked
        if tally.marks[place]:
            twice.add(test_id)
        tally.marks[place] = _Mark.SILENT
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
        tally.fixtures.append(report)
    elif report.outcome is not Outcome.SKIP or made.kind is Synthetic.TEAR_DOWN:
        tally.complain(Code.UNASKED, f"a fixture cannot end in {report.outcome}", [report.id])
        return
    if again:
        return
    members = [place for place in account.members(made) if tally.marks[place]]
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


def _inherit(tally: _Tally, account: _Account, report: Case, members: Iterable[int]) -> None:
    why = report.reason if report.outcome is Outcome.SKIP else by_fixture(report)
    for place in members:
        mark = _Mark(tally.marks[place])
        # A skipped class runs nothing: a test of it that did run is a contradiction.
        contradicted = mark is _Mark.REPORTED and report.outcome is Outcome.SKIP
        if mark is _Mark.SILENT or contradicted:
            test_id = account.cases.ids[place]
            inherited = replace(report, id=test_id, reason=why, details=None)
            now = _Mark.CONTRADICTED if contradicted else _Mark.SPOKEN_FOR
            tally.take(account, place, inherited, now)


def _duplicated(found: Sequence[Case]) -> Case:
    told = ", ".join(sorted(case.outcome for case in found))
    details = sorted(case.details for case in found if case.details)
    return Case(
        found[0].id,
        Outcome.DUPLICATED,
        reason=f"reported {len(found)} times: {told}",
        details=details[0] if details else None,
    )


def _link(kind: Kind, chain: Sequence[_Tally], ids: Sequence[str]) -> list[Reason]:
    """Judge the attempts of one kind, each in the light of the one that followed it."""
    reasons: list[Reason] = []
    followers: list[_Tally | None] = [*chain[1:], None]
    for tally, follower in zip(chain, followers, strict=True):
        excused = tally.attempt.state is State.INTERRUPTED and follower is not None
        reasons += (reason for reason in tally.reasons if not (excused and reason.code in _EXCUSED))
        reasons += _check_state(tally, follower, ids)
    if not any(tally.ran for tally in chain):
        reasons.append(error(Code.NOTHING_RAN, f"not one test of {kind} was executed"))
    return reasons


def _check_state(tally: _Tally, follower: _Tally | None, ids: Sequence[str]) -> list[Reason]:
    attempt = tally.attempt
    if attempt.state is not State.INTERRUPTED:
        return _check_running(attempt)
    if follower is None:
        return [error(Code.INTERRUPTED, f"{attempt.name}: the run was interrupted")]
    strange = [
        test_id
        for test_id, left, asked in zip(ids, tally.marks, follower.marks, strict=True)
        if (left == _Mark.SILENT) != (asked != _Mark.UNASKED)
    ]
    if strange:
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


def _complain(cases: Cases, where: str = "") -> list[Reason]:
    reasons = []
    for outcome, code, said in (
        (Outcome.MISSING, Code.LOST_TEST, "asked to run and without an outcome"),
        (Outcome.DUPLICATED, Code.DUPLICATED, f"reported more than once{_RERUNS}"),
    ):
        if ids := cases.ids_of(outcome):
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
    cases = account.settled()
    failed, begun = (named.failed, unfinished(named.attempt)) if named else (set[str](), set[str]())
    for test_id in sorted(begun & unfinished(attempt)):
        place = cases.place(test_id)
        assert place is not None  # it was asked
        cases[place] = not_ended(test_id, attempt.test_timeout)
    if strange := sorted(set(attempt.asked) - failed - begun):
        message = f"it runs {count(strange, 'test')} again that did not fail in {attempt.confirms}"
        tally.complain(Code.UNASKED, message, strange)
    reasons = [*tally.reasons, *_complain(cases, f"{attempt.name}: "), *_check_running(attempt)]
    if attempt.state is State.INTERRUPTED:
        message = f"{attempt.name} was interrupted: it confirms nothing"
        wrong = (reason for reason in reasons if reason.code not in _CUT_SHORT)
        reasons = [note(Code.NOT_CONFIRMED, message, tuple(cases.ids)), *wrong]
        whole = False
    elif time_was_up(attempt):
        reasons = [reason for reason in reasons if reason.code not in _TIME_UP]
        lost = cases.ids_of(Outcome.MISSING)
        whole = not lost and not reasons
        if lost:
            message = f"{attempt.name}: the time of {count(lost, 'test')} was up: nothing confirmed"
            reasons.append(note(Code.NOT_CONFIRMED, message, lost))
    else:
        # A test that passes and leaves its class broken has not passed.
        whole = not reasons and not any(map(_tears_down, tally.fixtures))
    return Confirmation(attempt.name, attempt.side, tuple(cases), whole), reasons
