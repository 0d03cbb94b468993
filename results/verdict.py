# SPDX-License-Identifier: Apache-2.0
"""Evidence and a policy in, a verdict out; nothing is read, written or remembered.

ERROR beats FAIL beats PASS: evidence that is not whole proves nothing, so failures in it are
listed and do not decide. The order of the evidence does not matter.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from bsdgate.results.expectations import Expectation, Expectations, valid
from bsdgate.results.ledger import Ledger, reconcile
from bsdgate.results.model import (
    Attempt,
    Case,
    Code,
    Evidence,
    Level,
    Outcome,
    Reason,
    Result,
    Summary,
    Verdict,
    count,
    error,
    note,
)


@dataclass(frozen=True, slots=True)
class Policy:
    """How strictly a run is judged. ``unexpected_success``: what a known failure that passes is.

    A test that itself declares an expected failure and passes always fails the run, as in
    unittest.
    """

    name: str
    unexpected_success: Level


DEVELOPER = Policy("developer", Level.NOTE)
GATE = Policy("gate", Level.FAIL)


@dataclass(slots=True)
class _Excused:
    """The ledger's cases in the light of the known failures."""

    cases: list[Case]
    fixtures: list[Case]
    known: list[str]
    unexpected: list[str]
    expired: dict[str, list[str]]


def judge(
    evidence: Evidence, expectations: Sequence[Expectation] = (), policy: Policy = DEVELOPER
) -> Verdict:
    """Judge a run. The expectations are those valid on the day on which the run was created."""
    ledger = reconcile(evidence.attempts)
    excused = _excuse(ledger, Expectations(expectations), evidence.run.created.date())
    reasons = [*evidence.problems, *_check_owed(evidence), *ledger.reasons]
    reasons += _failures(excused, ledger)
    reasons += _remarks(excused, policy)
    ordered = tuple(sorted(set(reasons), key=_severity))
    return Verdict(
        run=evidence.run,
        result=_result(ordered),
        reasons=ordered,
        cases=tuple(excused.cases),
        fixtures=tuple(excused.fixtures),
        attempts=tuple(
            _summary(attempt) for attempt in sorted(evidence.attempts, key=lambda one: one.name)
        ),
    )


def _result(reasons: Sequence[Reason]) -> Result:
    levels = {reason.level for reason in reasons}
    if Level.ERROR in levels:
        return Result.ERROR
    return Result.FAIL if Level.FAIL in levels else Result.PASS


def _severity(reason: Reason) -> tuple[int, str, str, tuple[str, ...]]:
    return list(Level).index(reason.level), reason.code, reason.message, reason.ids


def _check_owed(evidence: Evidence) -> list[Reason]:
    if not evidence.attempts:
        return [error(Code.NO_EVIDENCE, "the run has no evidence: nothing was run, or it is gone")]
    there = {attempt.kind for attempt in evidence.attempts}
    return [
        error(Code.EVIDENCE_LOST, f"the run owes evidence of {kind}, and there is none")
        for kind in sorted(evidence.owed - there)
    ]


def _excuse(ledger: Ledger, expectations: Expectations, day: date) -> _Excused:
    result = _Excused([], [], [], [], {})
    for case in ledger.cases:
        entries = expectations.of(case.id) if case.outcome in _EXCUSABLE else []
        entry = next(iter(valid(entries, day)), None)
        if entry is None:
            _note_expired(result, case, entries)
            result.cases.append(case)
        elif case.outcome is Outcome.FAIL:
            result.known.append(case.id)
            result.cases.append(replace(case, outcome=Outcome.XFAIL, reason=_why(entry)))
        else:
            result.unexpected.append(case.id)
            result.cases.append(replace(case, outcome=Outcome.UXSUCCESS, reason=_why(entry)))
    for fixture in ledger.fixtures:
        entries = expectations.of(fixture.id) + expectations.of(_alias(fixture.id))
        if valid(entries, day):
            result.known.append(fixture.id)
        else:
            _note_expired(result, fixture, entries)
            result.fixtures.append(fixture)
    return result


_EXCUSABLE = (Outcome.FAIL, Outcome.SUCCESS)


def _alias(fixture_id: str) -> str:
    """``setUpClass (C)`` as ``C.setUpClass``, so that a glob over the class covers it."""
    name, _, scope = fixture_id.removesuffix(")").partition(" (")
    return f"{scope}.{name}"


def _note_expired(result: _Excused, case: Case, entries: Sequence[Expectation]) -> None:
    if case.outcome is Outcome.FAIL:
        for entry in entries:
            result.expired.setdefault(f"{_why(entry)}, expired {entry.expires}", []).append(case.id)


def _why(entry: Expectation) -> str:
    return f"known failure {entry.bug} ({entry.owner}): {entry.reason}"


def _failures(excused: _Excused, ledger: Ledger) -> list[Reason]:
    reasons = []
    failed = tuple(case.id for case in excused.cases if case.outcome is Outcome.FAIL)
    own = tuple(case.id for case in ledger.cases if case.outcome is Outcome.UXSUCCESS)
    broken = tuple(fixture.id for fixture in excused.fixtures)
    if failed:
        reasons.append(
            Reason(Level.FAIL, Code.TESTS_FAILED, f"{count(failed, 'test')} failed", failed)
        )
    if broken:
        message = f"{count(broken, 'class or module fixture')} failed"
        reasons.append(Reason(Level.FAIL, Code.FIXTURE_FAILED, message, broken))
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
    for why, ids in excused.expired.items():
        reasons.append(note(Code.EXPECTATION_EXPIRED, f"no longer excused: {why}", tuple(ids)))
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
    )
