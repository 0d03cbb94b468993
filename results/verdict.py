# SPDX-License-Identifier: Apache-2.0
"""Makes a verdict from evidence and a policy; no file is read or written.

ERROR has precedence over FAIL, and FAIL over PASS: incomplete evidence proves nothing, so failures
in it are listed and do not decide. The order of the evidence does not matter.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from bsdgate.results import attribution, coverage, hangs
from bsdgate.results import problems as harness_problems
from bsdgate.results.attribution import Finding, PastRuns
from bsdgate.results.dispositions import Grounds, dispose
from bsdgate.results.expectations import (
    Expectation,
    Expectations,
    entry_reasons,
    unmatched_names,
    unmatched_note,
    valid,
)
from bsdgate.results.ledger import Ledger, reconcile
from bsdgate.results.model import (
    Attempt,
    Case,
    Cause,
    Code,
    Evidence,
    Excuse,
    Level,
    Outcome,
    Reason,
    Result,
    Run,
    Side,
    Summary,
    Verdict,
    count,
    error,
    note,
)
from bsdgate.results.policy import DEVELOPER, Policy
from bsdgate.results.setup_failures import tests_of

UNMATCHED_RUNS = 10
"""The number of consecutive runs without a match after which an entry is reported."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is known from earlier runs. ``ran`` are the ids that ran in the last good run, or None.

    ``unread`` is the reason if the history cannot be read. ``same_versions``: the last good run
    had the same versions. ``unmatched`` has the names of entries and in how many consecutive runs
    before this one each matched nothing.
    """

    ran: frozenset[str] | None = None
    unread: str = ""
    same_versions: bool = False
    unmatched: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Excused:
    """The ledger's cases with known failures applied; ``entries`` are those used, by id."""

    cases: tuple[Case, ...] = ()
    entries: dict[str, Expectation] = field(default_factory=dict)
    known: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    excused_skips: set[str] = field(default_factory=set)
    needless_skips: list[str] = field(default_factory=list)

    def ids_of(self, outcome: Outcome) -> tuple[str, ...]:
        """Return the ids of all cases with this outcome."""
        return tuple(case.id for case in self.cases if case.outcome is outcome)


def judge(
    evidence: Evidence,
    expectations: Sequence[Expectation] = (),
    policy: Policy = DEVELOPER,
    past: PastRuns | None = None,
    *,
    earlier: Remembered | None = None,
    left_out: Collection[str] = (),
) -> Verdict:
    """Judge a run. The expectations are those valid on the day on which the run was created.

    ``past`` has the outcomes of failed tests in earlier runs without a change, newest first.
    ``left_out`` are the ids that suite and profile leave out with a reason (excluded.json).
    """
    run = evidence.run
    day = run.created.date()
    ledger = reconcile(evidence.attempts)
    known = Expectations(expectations, run)
    excused = _excuse(ledger, known, day)
    unmatched = unmatched_names(known, ((case.id, case.outcome) for case in ledger.cases))
    earlier = earlier or Remembered()
    problems = _dated(evidence.problems, excused, policy)
    reasons = _graded([*problems, *ledger.reasons], policy) + _check_owed(evidence)
    hung = hangs.weigh(evidence, ledger, reasons)
    excused.cases, reasons = hung.put_into(excused.cases), hung.reasons
    failed = [
        case
        for case in excused.cases
        if case.outcome is Outcome.FAIL and case.id not in hung.failed
    ]
    findings = attribution.attribute(failed, ledger.confirmations, reasons, change=run.changed)
    findings = tuple(sorted((*findings, *hung.findings), key=lambda finding: finding.id))
    weighed = _weigh(findings, ledger, policy, past or {}, change=run.changed)
    reasons += _failures(excused, ledger, weighed)
    reasons += weighed.reasons
    reasons += _remarks(excused, policy)
    reasons += entry_reasons(expectations, run, day, policy)
    reasons += unmatched_note(known, unmatched, earlier.unmatched, UNMATCHED_RUNS)
    left_out = {*left_out, *hung.unfinished}
    reasons += _coverage(excused, known, run, policy, earlier=earlier, left_out=left_out)
    reasons += _narrowed(run, policy)
    ordered = tuple(sorted(set(reasons), key=_severity))
    by_id = {finding.id: finding for finding in findings}
    grounds = Grounds(by_id, excused.entries, weighed.excuses)
    return Verdict(
        run=run,
        result=result_of(ordered),
        reasons=ordered,
        cases=excused.cases,
        setup_failures=ledger.setup_failures,
        attempts=tuple(
            _summary(attempt) for attempt in sorted(evidence.attempts, key=lambda one: one.name)
        ),
        dispositions=dispose(excused.cases, ledger.setup_failures, grounds, ordered),
        policy=policy.name,
        unmatched=unmatched,
        timings=_timings(evidence.attempts),
    )


def _graded(reasons: Sequence[Reason], policy: Policy) -> list[Reason]:
    """Give each reason the level that the policy has for its code, if it has one."""
    levels = {Code.NO_LIST: policy.unlisted, Code.LEFT_BEHIND: policy.left_behind}
    return [replace(reason, level=levels.get(reason.code, reason.level)) for reason in reasons]


def _dated(problems: Sequence[Reason], excused: _Excused, policy: Policy) -> list[Reason]:
    """Return the problems; an undated excuse (by a guessed day) gets the policy's level."""
    used = bool(excused.known or excused.excused_skips)
    return [
        replace(reason, level=policy.undated) if used and reason.code is Code.UNDATED else reason
        for reason in problems
    ]


def _coverage(
    excused: _Excused,
    known: Expectations,
    run: Run,
    policy: Policy,
    *,
    earlier: Remembered,
    left_out: Collection[str],
) -> list[Reason]:
    """Judge the skips, and how many tests ran."""
    day = run.created.date()
    explained = {*coverage.explanations(excused.cases, run.features), *excused.excused_skips}
    reasons = coverage.lost(excused.cases, explained, policy.coverage_lost)
    if earlier.unread:
        said = f"it is not known whether fewer tests ran than before: {earlier.unread}"
        reasons.append(Reason(policy.no_history, Code.NO_HISTORY, said))
    if earlier.ran is None:
        return reasons
    asked = {case.id for case in excused.cases}
    unasked = (test for test in earlier.ran if test not in asked)
    gone = (test for test in unasked if valid(known.of(test, Outcome.SKIP), day))
    return reasons + coverage.fewer_ran(
        excused.cases,
        earlier.ran,
        same_versions=earlier.same_versions,
        explained={*explained, *left_out, *gone},
    )


def _narrowed(run: Run, policy: Policy) -> list[Reason]:
    """Return the reason for a run of a part of its suite, with the level of the policy."""
    if not run.selection:
        return []
    said = f"only the tests of the suite that match --tests {run.selection} were asked"
    return [Reason(policy.narrowed, Code.NARROWED, said)]


def _timings(attempts: Sequence[Attempt]) -> Mapping[str, float]:
    """Return the timings on the build under test; of a resumed run, the latest."""
    mine = (each for each in attempts if each.side is Side.CHANGE and not each.confirms)
    in_order = sorted(mine, key=lambda attempt: attempt.name)
    found = {timing.name: timing.seconds for attempt in in_order for timing in attempt.timings}
    return dict(sorted(found.items()))


@dataclass(slots=True)
class _Weighed:
    """The excuses of failures by id, and the reasons that follow from the causes of failures."""

    excuses: Mapping[str, Excuse]
    reasons: list[Reason]


def _weigh(
    findings: Sequence[Finding], ledger: Ledger, policy: Policy, past: PastRuns, *, change: bool
) -> _Weighed:
    """Return the excuses and reasons that follow from the causes of the failures."""
    based = tuple(one.id for one in findings if change and one.cause is Cause.BASE)
    flakes = [
        one
        for one in findings
        if one.cause is Cause.FLAKE
        and attribution.passed_again(one, ledger.confirmations)
        and attribution.known_flake(one, past.get(one.id, ())).known
    ]
    fallen = attribution.falls(flakes, past, len(ledger.cases))
    fell = tuple(sorted(fall.id for fall in fallen))
    flaked = tuple(one.id for one in flakes if one.id not in fell)
    node = tuple(one.id for one in findings if one.cause is Cause.NODE)
    reasons = []
    if based:
        said = f"{count(based, 'failure')} that the base has as well, without the change"
        reasons.append(Reason(policy.base, Code.FAILS_ON_BASE, said, based))
    if flaked:
        said = f"{count(flaked, 'known flake')}: passed each time when run again"
        reasons.append(note(Code.KNOWN_FLAKE, said, flaked))
    if fell:
        said = f"{count(fell, 'flake')} more often than before: {'; '.join(map(str, fallen))}"
        reasons.append(Reason(Level.FAIL, Code.PASS_RATE_FELL, said, fell))
    if node:
        said = f"{count(node, 'failure')} of the node, which prove nothing about what was tested"
        reasons.append(error(Code.NODE_FAILED, said, node))
    excuses = dict.fromkeys(based, Excuse.FAILS_ON_BASE)
    return _Weighed(excuses | dict.fromkeys(flaked, Excuse.KNOWN_FLAKE), reasons)


def result_of(reasons: Iterable[Reason]) -> Result:
    """Return the result that follows from the reasons: the gravest level decides."""
    levels = {reason.level for reason in reasons}
    if Level.ERROR in levels:
        return Result.ERROR
    return Result.FAIL if Level.FAIL in levels else Result.PASS


def _severity(reason: Reason) -> tuple[int, bool, str, str, tuple[str, ...]]:
    """Sort by level, the gravest first; then reasons of the whole run, which may explain others."""
    level = list(Level).index(reason.level)
    return level, reason.code not in _WHOLE_RUN, reason.code, reason.message, reason.ids


_WHOLE_RUN = harness_problems.CODES | {
    Code.NODE_FAILED,
    Code.BASE_ALTERED,
    Code.HARNESS_PROBLEM,
}


def _check_owed(evidence: Evidence) -> list[Reason]:
    if not evidence.attempts:
        return [error(Code.NO_EVIDENCE, "the run has no evidence: nothing was run, or it is gone")]
    there = {attempt.kind for attempt in evidence.attempts}
    return [
        error(Code.EVIDENCE_LOST, f"the run has no evidence of {kind}, which its manifest promises")
        for kind in sorted(evidence.owed - there)
    ]


def _excuse(ledger: Ledger, expectations: Expectations, day: date) -> _Excused:
    result = _Excused()
    result.cases = tuple(_excused(case, expectations, day, result) for case in ledger.cases)
    for failure in ledger.setup_failures:
        entries = expectations.of(failure.id) + expectations.of(_alias(failure.id))
        if entry := next(iter(valid(entries, day)), None):
            result.known.append(failure.id)
            result.entries[failure.id] = entry
    return result


def _excused(case: Case, expectations: Expectations, day: date, result: _Excused) -> Case:
    """Return the case with the outcome that a known failure gives it; record that in ``result``."""
    entries = expectations.of(case.id, None) if case.outcome in _EXPECTED else []
    entries = valid(entries, day)
    if any(entry.outcome is Outcome.SKIP for entry in entries):
        if case.outcome is Outcome.SKIP:
            result.excused_skips.add(case.id)
        elif case.outcome is Outcome.SUCCESS:
            result.needless_skips.append(case.id)
    entry = next((entry for entry in entries if entry.outcome is Outcome.FAIL), None)
    if entry is None or case.outcome is Outcome.SKIP:
        return case
    failed = case.outcome is Outcome.FAIL
    (result.known if failed else result.unexpected).append(case.id)
    result.entries[case.id] = entry
    outcome = Outcome.KNOWN_FAILURE if failed else Outcome.KNOWN_FAILURE_PASSED
    return replace(case, outcome=outcome, reason=_why(entry))


_EXPECTED = frozenset({Outcome.FAIL, Outcome.SUCCESS, Outcome.SKIP})
"""The outcomes for which a known failure is looked up."""


def _alias(failure_id: str) -> str:
    """``setUpClass (C)`` as ``C.setUpClass``, so that a glob over the class covers it."""
    name, _, scope = failure_id.removesuffix(")").partition(" (")
    return f"{scope}.{name}"


def _why(entry: Expectation) -> str:
    return f"known failure {entry.bug} ({entry.owner}): {entry.reason}"


def _failures(excused: _Excused, ledger: Ledger, weighed: _Weighed) -> list[Reason]:
    reasons = []
    failed = tuple(
        test_id for test_id in excused.ids_of(Outcome.FAIL) if test_id not in weighed.excuses
    )
    own = excused.ids_of(Outcome.UXSUCCESS)
    # A fixture is excused if all tests that failed by it are.
    failures = [one for one in ledger.setup_failures if one.id not in excused.entries]
    fell = tests_of(failures, excused.cases)
    exempt = {*weighed.excuses, *excused.known}
    broken = tuple(one.id for one in failures if not fell[one.id] or set(fell[one.id]) - exempt)
    if failed:
        reasons.append(
            Reason(Level.FAIL, Code.TESTS_FAILED, f"{count(failed, 'test')} failed", failed)
        )
    if broken:
        message = f"{count(broken, 'class or module fixture')} failed"
        reasons.append(Reason(Level.FAIL, Code.SETUP_FAILED, message, broken))
    if own:
        message = f"{count(own, 'expected failure')} passed (so declared by the tests)"
        reasons.append(Reason(Level.FAIL, Code.UNEXPECTED_SUCCESS, message, own))
    return reasons


def _remarks(excused: _Excused, policy: Policy) -> list[Reason]:
    reasons = []
    if excused.known:
        message = f"{count(excused.known, 'known failure')} excused"
        reasons.append(note(Code.KNOWN_FAILURE, message, tuple(sorted(excused.known))))
    if excused.unexpected:
        message = f"{count(excused.unexpected, 'known failure')} passed: remove the entries"
        reasons.append(
            Reason(
                policy.unexpected_success,
                Code.UNEXPECTED_SUCCESS,
                message,
                tuple(excused.unexpected),
            )
        )
    if excused.needless_skips:
        message = f"{count(excused.needless_skips, 'test')} known to be skipped ran and passed"
        needless = tuple(excused.needless_skips)
        level = policy.unexpected_success
        reasons.append(Reason(level, Code.UNEXPECTED_SUCCESS, message, needless))
    return reasons


def _summary(attempt: Attempt) -> Summary:
    return Summary(
        name=attempt.name,
        kind=attempt.kind,
        state=attempt.state,
        exit_status=attempt.exit_status,
        asked=len(attempt.asked),
        started=attempt.started,
        ended=attempt.ended,
        side=attempt.side,
        confirms=attempt.confirms,
    )
