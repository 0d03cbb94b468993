# SPDX-License-Identifier: Apache-2.0
"""Makes a verdict from evidence and a policy; no file is read or written.

ERROR has precedence over FAIL, and FAIL over PASS: incomplete evidence proves nothing, so failures
in it are listed but do not decide. The order of the attempts does not matter.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date

from bsdgate.results import attribution, coverage, hangs, problems
from bsdgate.results.attribution import Attribution, PastRuns
from bsdgate.results.dispositions import counted, dispose
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
)
from bsdgate.results.passrate import Fall
from bsdgate.results.policy import DEVELOPER, Policy

UNMATCHED_RUNS = 10
"""An entry that matched no test in this number of consecutive runs is reported."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """The facts from earlier runs.

    ``ran`` are the ids of the tests that ran in the last good run; None without such a run.
    ``unread`` is the reason why the history cannot be read, or empty. ``same_versions``: whether
    the last good run had the same versions. ``unmatched`` has, by name of an entry of the known
    failures, the number of consecutive runs before this one in which the entry matched no test.
    """

    ran: frozenset[str] | None = None
    unread: str = ""
    same_versions: bool = False
    unmatched: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Excused:
    """The cases of the ledger (one outcome per requested test) after known failures are applied.

    ``entries`` are the entries of known failures that were used, by id of the test or fixture.
    """

    cases: tuple[Case, ...] = ()
    entries: dict[str, Expectation] = field(default_factory=dict)
    skips: set[str] = field(default_factory=set)
    needless_skips: list[str] = field(default_factory=list)

    def of(self, outcome: Outcome) -> list[Case]:
        """Return all cases with this outcome."""
        return [case for case in self.cases if case.outcome is outcome]

    def ids_of(self, outcome: Outcome) -> tuple[str, ...]:
        """Return the ids of all cases with this outcome."""
        return tuple(case.id for case in self.of(outcome))

    @property
    def known(self) -> tuple[str, ...]:
        """The ids of the tests and fixtures that failed and are excused."""
        return tuple(sorted(self.entries.keys() - self.ids_of(Outcome.KNOWN_FAILURE_PASSED)))


def judge(
    evidence: Evidence,
    expectations: Sequence[Expectation] = (),
    policy: Policy = DEVELOPER,
    past: PastRuns | None = None,
    *,
    earlier: Remembered | None = None,
    left_out: Collection[str] = (),
) -> Verdict:
    """Judge a run. Only expectations that are valid on the day of the run's creation are used.

    ``past`` has the outcomes of failed tests in earlier runs without a change, newest first.
    ``left_out`` are the ids that suite and profile exclude with a reason (excluded.json).
    """
    run = evidence.run
    day = run.created.date()
    earlier = earlier or Remembered()
    ledger = reconcile(evidence.attempts)
    known = Expectations(expectations, run)
    excused = _excuse(ledger, known, day)
    unmatched = unmatched_names(known, ((case.id, case.outcome) for case in ledger.cases))
    reasons = _graded([*evidence.problems, *ledger.reasons], policy, excused)
    hung = hangs.weigh(evidence, ledger, reasons + _check_owed(evidence))
    excused.cases, reasons = hung.put_into(excused.cases), hung.reasons
    failed = [case for case in excused.of(Outcome.FAIL) if case.id not in hung.failed]
    findings = attribution.attribute(failed, ledger.confirmations, reasons, change=run.changed)
    findings = tuple(sorted((*findings, *hung.findings), key=lambda finding: finding.id))
    excuses, fallen = _excuses(findings, past or {}, len(ledger.cases), change=run.changed)
    findings_of_all = (
        *findings,
        *attribution.attribute_lost(excused.cases, ledger.setup_failures, reasons),
    )
    dispositions = dispose(
        excused.cases, ledger.setup_failures, findings_of_all, excused.entries, excuses
    )
    unexcused = {one.id for one in dispositions if one.excuse is None}
    broken = [failure.id for failure in ledger.setup_failures if failure.id in unexcused]
    node = [finding.id for finding in findings if finding.cause is Cause.NODE]
    reasons += _of_tests(excused, excuses, policy, fallen, broken=broken, node=node)
    reasons += entry_reasons(expectations, run, day, policy)
    reasons += unmatched_note(known, unmatched, earlier.unmatched, UNMATCHED_RUNS)
    left_out = {*left_out, *hung.unfinished}
    reasons += _coverage(excused, known, run, earlier=earlier, left_out=left_out)
    reasons += _of_run(run, earlier, policy)
    ordered = tuple(sorted(set(_with_levels(reasons, policy, _NO_CAUSES)), key=_severity))
    attempts = sorted(evidence.attempts, key=lambda attempt: attempt.name)
    return Verdict(
        run=run,
        result=result_of(ordered),
        reasons=ordered,
        cases=excused.cases,
        setup_failures=ledger.setup_failures,
        attempts=tuple(map(_summary, attempts)),
        dispositions=counted(dispositions, ordered),
        policy=policy.name,
        unmatched=unmatched,
        timings=_timings(attempts),
    )


def _graded(reasons: Sequence[Reason], policy: Policy, excused: _Excused) -> list[Reason]:
    """Give each reason with a code in ``graded`` the level in the policy.

    UNDATED is graded only if a known failure excused something: the day of the run is then a guess.
    """
    graded = {Code.NO_LIST, Code.LEFT_BEHIND}
    if excused.skips or excused.known:
        graded.add(Code.UNDATED)
    return _with_levels(reasons, policy, graded)


def _with_levels(
    reasons: Iterable[Reason], policy: Policy, graded: Collection[Code]
) -> list[Reason]:
    """Return the reasons; those with a code in ``graded`` have the level in the policy."""
    return [
        replace(one, level=policy.level(one.code)) if one.code in graded else one for one in reasons
    ]


def _coverage(
    excused: _Excused,
    known: Expectations,
    run: Run,
    *,
    earlier: Remembered,
    left_out: Collection[str],
) -> list[Reason]:
    """Return reasons for unexplained skips, and for tests that ran in the last good run only."""
    explained = {*coverage.explanations(excused.cases, run.features), *excused.skips}
    reasons = coverage.lost(excused.cases, explained)
    if earlier.ran is None:
        return reasons
    unasked = earlier.ran - {case.id for case in excused.cases}
    day = run.created.date()
    gone = (test for test in unasked if valid(known.of(test, Outcome.SKIP), day))
    return reasons + coverage.fewer_ran(
        excused.cases,
        earlier.ran,
        same_versions=earlier.same_versions,
        explained={*explained, *left_out, *gone},
    )


def _of_run(run: Run, earlier: Remembered, policy: Policy) -> Iterator[Reason]:
    """Yield the reasons for an unreadable history, and for a run of only a part of a suite."""
    if earlier.unread:
        said = f"it is not known whether fewer tests ran than before: {earlier.unread}"
        yield Reason(policy.level(Code.NO_HISTORY), Code.NO_HISTORY, said)
    if run.selection:
        said = f"only tests of the suite that match --tests {run.selection} were requested"
        yield Reason(policy.level(Code.NARROWED), Code.NARROWED, said)


def _timings(attempts: Iterable[Attempt]) -> Mapping[str, float]:
    """Return the timings on the build under test, by name; of a resumed run, the latest."""
    mine = [each for each in attempts if each.side is Side.CHANGE and not each.confirms]
    found = {timing.name: timing.seconds for attempt in mine for timing in attempt.timings}
    return dict(sorted(found.items()))


def _excuses(
    findings: Sequence[Attribution], past: PastRuns, ran: int, *, change: bool
) -> tuple[Mapping[str, Excuse], Sequence[Fall]]:
    """Return the excuses that follow from the causes of failures, by id, and unexcused flakes.

    A known flake is not excused if it fails more often than before. ``ran``: the number of tests.
    """
    flakes = [
        one
        for one in findings
        if one.passed_again and attribution.known_flake(one, past.get(one.id, ())).known
    ]
    fallen = attribution.falls(flakes, past, ran)
    based = [one.id for one in findings if change and one.cause is Cause.BASE]
    flaked = {one.id for one in flakes} - {fall.id for fall in fallen}
    excuses = dict.fromkeys(based, Excuse.FAILS_ON_BASE)
    return excuses | dict.fromkeys(sorted(flaked), Excuse.KNOWN_FLAKE), fallen


def _of_tests(
    excused: _Excused,
    excuses: Mapping[str, Excuse],
    policy: Policy,
    fallen: Sequence[Fall],
    *,
    broken: list[str],
    node: list[str],
) -> Iterator[Reason]:
    """Yield the reasons about tests and fixtures.

    ``broken`` are the failed fixtures without an excuse, ``node`` the failures due to the node.
    """
    failed = [one for one in excused.ids_of(Outcome.FAIL) if one not in excuses]
    based = [one for one, excuse in excuses.items() if excuse is Excuse.FAILS_ON_BASE]
    flaked = [one for one, excuse in excuses.items() if excuse is Excuse.KNOWN_FLAKE]
    fell = sorted(fall.id for fall in fallen)
    needless = excused.needless_skips
    falls = "; ".join(map(str, fallen))
    passed = excused.ids_of(Outcome.KNOWN_FAILURE_PASSED)
    of_node = " caused by the node: no evidence about what was tested"
    for code, ids, noun, said in (
        (Code.TESTS_FAILED, failed, "test", " failed"),
        (Code.SETUP_FAILED, broken, "class or module fixture", " failed"),
        (Code.FAILS_ON_BASE, based, "failure", " that also occurred without the change"),
        (Code.KNOWN_FLAKE, flaked, "known flake", " passed each time when run again"),
        (Code.PASS_RATE_FELL, fell, "flake", f" failed more often than before: {falls}"),
        (Code.NODE_FAILED, node, "failure", of_node),
        (Code.KNOWN_FAILURE, excused.known, "known failure", " excused"),
        (Code.UNEXPECTED_SUCCESS, passed, "known failure", " passed: remove the entries"),
        (Code.UNEXPECTED_SUCCESS, needless, "test", " passed, but a known failure expects a skip"),
    ):
        if ids:
            yield Reason(policy.level(code), code, f"{count(ids, noun)}{said}", tuple(ids))
    if own := excused.ids_of(Outcome.UXSUCCESS):
        said = f"{count(own, 'expected failure')} passed (declared in the tests themselves)"
        yield Reason(Level.FAIL, Code.UNEXPECTED_SUCCESS, said, own)


def result_of(reasons: Iterable[Reason]) -> Result:
    """Return the result that follows from the reasons: the most severe level decides."""
    levels = {reason.level for reason in reasons}
    if Level.ERROR in levels:
        return Result.ERROR
    return Result.FAIL if Level.FAIL in levels else Result.PASS


def _severity(reason: Reason) -> tuple[int, bool, str, str, tuple[str, ...]]:
    """Sort by level, the most severe first; then reasons of the whole run first."""
    level = list(Level).index(reason.level)
    return level, reason.code not in _WHOLE_RUN, reason.code, reason.message, reason.ids


_NO_CAUSES = frozenset({Code.END_OF_LIFE})
"""Codes that are not the cause of failures: they get their level when the causes are known."""
_WHOLE_RUN = problems.CODES | {
    *(Code.NODE_FAILED, Code.BASE_ALTERED, Code.HARNESS_PROBLEM),
    *(Code.END_OF_LIFE, Code.END_OF_LIFE_NEAR, Code.NOT_IN_MATRIX),
    *(Code.NODE_NOT_AS_ASKED, Code.NODE_CHANGED, Code.NODE_REBOOTED, Code.CLOCK_DIFFERS),
    *(Code.KERNEL_PANIC, Code.OUT_OF_MEMORY, Code.PROCESS_CRASHED),
}


def _check_owed(evidence: Evidence) -> list[Reason]:
    if not evidence.attempts:
        return [error(Code.NO_EVIDENCE, "the run has no evidence: no test was run, or it is lost")]
    there = {attempt.kind for attempt in evidence.attempts}
    return [
        error(Code.EVIDENCE_LOST, f"the run has no evidence of {kind}, which its manifest lists")
        for kind in sorted(evidence.owed - there)
    ]


def _excuse(ledger: Ledger, expectations: Expectations, day: date) -> _Excused:
    result = _Excused()
    result.cases = tuple(_excused(case, expectations, day, result) for case in ledger.cases)
    for failure in ledger.setup_failures:
        entries = expectations.of(failure.id) + expectations.of(_alias(failure.id))
        if entry := next(iter(valid(entries, day)), None):
            result.entries[failure.id] = entry
    return result


def _excused(case: Case, expectations: Expectations, day: date, result: _Excused) -> Case:
    """Return the case with known failures applied; record the used entries in ``result``."""
    entries = expectations.of(case.id, None) if case.outcome in _EXPECTED else []
    by_outcome = {entry.outcome: entry for entry in reversed(valid(entries, day))}
    if Outcome.SKIP in by_outcome and case.outcome is Outcome.SKIP:
        result.skips.add(case.id)
    elif Outcome.SKIP in by_outcome and case.outcome is Outcome.SUCCESS:
        result.needless_skips.append(case.id)
    entry = by_outcome.get(Outcome.FAIL)
    if entry is None or case.outcome is Outcome.SKIP:
        return case
    result.entries[case.id] = entry
    failed = case.outcome is Outcome.FAIL
    outcome = Outcome.KNOWN_FAILURE if failed else Outcome.KNOWN_FAILURE_PASSED
    why = f"known failure {entry.bug} ({entry.owner}): {entry.reason}"
    return replace(case, outcome=outcome, reason=why)


_EXPECTED = frozenset({Outcome.FAIL, Outcome.SUCCESS, Outcome.SKIP})
"""The outcomes for which a known failure is looked up."""


def _alias(failure_id: str) -> str:
    """Return ``setUpClass (C)`` as ``C.setUpClass``, so that a glob for the class matches it."""
    name, _, scope = failure_id.removesuffix(")").partition(" (")
    return f"{scope}.{name}"


def _summary(attempt: Attempt) -> Summary:
    shared = {each.name: getattr(attempt, each.name) for each in fields(Summary)}
    return Summary(**shared | {"asked": len(attempt.asked)})
