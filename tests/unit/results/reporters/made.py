# SPDX-License-Identifier: Apache-2.0
"""Verdicts for the tests of reporters."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bsdgate.results.attribution import Attribution
from bsdgate.results.dispositions import counted, dispose
from bsdgate.results.model import (
    Case,
    Cause,
    Code,
    Excuse,
    Level,
    Outcome,
    Reason,
    Result,
    Run,
    Verdict,
)
from bsdgate.results.store.rows import Record

BEGAN = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOSTILE = "m.<script>alert(1)</script>.\x1b[31mred\x1b[0m.\N{RIGHT-TO-LEFT OVERRIDE}txt'\"&\x00"
REQUEST = "req-5cb5a854-1548-41fe-939d-a240b5b3b9d2"


def verdict_of(
    result: Result,
    *cases: Case,
    reasons: Sequence[Reason] = (),
    fixtures: Sequence[Case] = (),
    findings: Sequence[Attribution] = (),
    **fields: Any,
) -> Verdict:
    """Return a verdict with the dispositions that follow from the findings and reasons."""
    run = Run("1234", BEGAN, name="n")
    excuses = {
        test: Excuse(reason.code)
        for reason in reasons
        if reason.code in {Code.FAILS_ON_BASE, Code.KNOWN_FLAKE}
        for test in reason.ids
    }
    dispositions = dispose(cases, list(fixtures), findings, {}, excuses)
    fields |= {
        "setup_failures": tuple(fixtures),
        "dispositions": counted(dispositions, reasons),
    }
    return Verdict(run, result, tuple(reasons), tuple(cases), **fields)


def failed(test_id: str, **fields: Any) -> Case:
    """Return a failure that started at BEGAN and lasted 1.5 seconds."""
    times: dict[str, Any] = {"started": BEGAN, "seconds": 1.5}
    return Case(test_id, Outcome.FAIL, **times | fields)


def failure_reason(*ids: str) -> Reason:
    return Reason(Level.FAIL, Code.TESTS_FAILED, f"{len(ids)} tests failed", ids)


def attributions(
    cause: Cause, *ids: str, signature: str = "", evidence: tuple[str, ...] = ()
) -> list[Attribution]:
    return [Attribution(test_id, cause, signature, evidence) for test_id in ids]


def hostile() -> Verdict:
    """Return a verdict with markup and control characters in each text."""
    case = failed(
        HOSTILE, worker=HOSTILE, reason=HOSTILE, details=f"{HOSTILE}\n\n{HOSTILE}:\n{REQUEST}"
    )
    reasons = [Reason(Level.FAIL, Code.TESTS_FAILED, HOSTILE, (HOSTILE,))]
    finding = Attribution(HOSTILE, Cause.CHANGE, HOSTILE, (HOSTILE,))
    return verdict_of(
        Result.FAIL,
        case,
        reasons=reasons,
        fixtures=[case, case],
        findings=[finding],
        policy=HOSTILE,
    )


def earlier(
    seconds: int,
    result: Result,
    counts: dict[str, int] | None = None,
    took: float | None = None,
    name: str = "",
) -> Record:
    """Return the record of a run that started this number of seconds before BEGAN."""
    return Record(Run("1", later(-seconds), name=name), result, "check", counts or {}, took)


def later(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)
