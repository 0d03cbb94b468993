# SPDX-License-Identifier: Apache-2.0
"""A verdict made small: what of a run is remembered, and how its tests become two columns."""

import hashlib
import json
import math
import sys
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final

from bsdgate.results.document import JUDGE_AGAIN
from bsdgate.results.errors import EvidenceError
from bsdgate.results.model import (
    RAN,
    Case,
    Cause,
    Code,
    Finding,
    Level,
    Outcome,
    Reason,
    Result,
    Run,
    Timing,
    Verdict,
)

NAME_BOUND: Final = 400
"""Characters of whatever a run is looked up by."""

IDS_KEPT: Final = 20
"""Ids kept of each reason; the verdict has all."""

LETTERS: Final = MappingProxyType(
    {
        Outcome.SUCCESS: ord("s"),
        Outcome.FAIL: ord("f"),
        Outcome.SKIP: ord("k"),
        Outcome.XFAIL: ord("x"),
        Outcome.UXSUCCESS: ord("u"),
        Outcome.MISSING: ord("m"),
        Outcome.DUPLICATED: ord("d"),
    }
)
OUTCOMES: Final = MappingProxyType({letter: outcome for outcome, letter in LETTERS.items()})
_LETTERS: Final = bytes(OUTCOMES)
_FLOAT: Final = array("f").itemsize

_NAMED: Final = ("run_id", "name", "suite", "profile", "release", "selection")


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a run without its tests. ``seconds`` is how long its attempts took.

    Of the run all is known but ``features``.
    """

    run: Run
    result: Result
    policy: str
    counts: Mapping[str, int]
    seconds: float | None
    judged: datetime | None = None

    def replaces(self, known: "Record") -> bool:
        """Whether this verdict was made later than the ``known`` one on the same run.

        One that does not say when it was made is older than any that does.
        """
        if self.judged is None:
            return False
        return known.judged is None or known.judged < self.judged


@dataclass(frozen=True)
class PastRun:
    """An earlier run with its tests; ValueError if these are not told in full.

    ``outcomes`` has a letter for each of ``ids``, ``seconds`` a float of four bytes, the lowest
    first, which is NaN where the time is not known. ``reasons`` have some of their ids only.
    """

    record: Record
    ids: tuple[str, ...]
    outcomes: bytes
    seconds: bytes
    findings: tuple[Finding, ...] = ()
    reasons: tuple[Reason, ...] = ()
    unmatched: tuple[str, ...] = ()
    timings: tuple[Timing, ...] = ()

    def __post_init__(self) -> None:
        lengths = {len(self.ids), len(self.outcomes), len(self.seconds) / _FLOAT}
        if len(lengths) > 1 or self.outcomes.translate(None, _LETTERS):
            raise ValueError(f"the outcomes of the run {self.record.run.run_id} are damaged")

    @property
    def ran(self) -> frozenset[str]:
        """The ids of the tests that were executed."""
        return frozenset(test for test, outcome in self.states if outcome in RAN)

    @property
    def states(self) -> list[tuple[str, Outcome]]:
        """How each test ended."""
        return [
            (test, OUTCOMES[letter]) for test, letter in zip(self.ids, self.outcomes, strict=True)
        ]

    @cached_property
    def digest(self) -> bytes:
        """What two verdicts on a run have in common if the store sees no difference."""
        record = self.record
        told = json.dumps(
            [about(record), record.run.versions, self.ids, notes(self), measured(self)]
        )
        return hashlib.sha256(told.encode() + self.outcomes + self.seconds).digest()


def pack(verdict: Verdict) -> PastRun:
    """Make a verdict small; raise EvidenceError if it cannot be told which run it is of."""
    cases = verdict.cases
    ids = tuple(case.id for case in cases)
    if len(set(ids)) != len(ids):
        raise EvidenceError("the verdict tells twice of one test", JUDGE_AGAIN)
    return PastRun(
        record=Record(
            run=replace(_checked(verdict.run), features=()),
            result=verdict.result,
            policy=verdict.policy,
            counts=MappingProxyType(dict(verdict.counts)),
            seconds=verdict.seconds,
            judged=verdict.judged,
        ),
        ids=ids,
        outcomes=bytes(LETTERS[case.outcome] for case in cases),
        seconds=_floats_out(_seconds(case) for case in cases),
        findings=verdict.findings,
        reasons=tuple(replace(one, ids=one.ids[:IDS_KEPT]) for one in verdict.reasons),
        unmatched=verdict.unmatched,
        timings=verdict.timings,
    )


def _checked(run: Run) -> Run:
    """``run`` in the store's time, which is UTC."""
    if not run.run_id:
        raise EvidenceError("the verdict does not say which run it is of", JUDGE_AGAIN)
    for name in _NAMED:
        if len(told := ascii_of(getattr(run, name))) > NAME_BOUND:
            message = f"the run's {name} has {len(told)} characters, more than {NAME_BOUND}"
            raise EvidenceError(message, JUDGE_AGAIN)
    try:
        if run.created.tzinfo is None:
            raise ValueError("it has no time zone")
        return replace(run, created=run.created.astimezone(UTC))
    except (ValueError, OverflowError) as reason:
        raise EvidenceError(f"{run.created} is no time of a run: {reason}", JUDGE_AGAIN) from None


def _seconds(case: Case) -> float:
    return math.nan if case.seconds is None else case.seconds


def _floats_out(numbers: Iterable[float]) -> bytes:
    try:
        packed = array("f", numbers)
    except (TypeError, OverflowError) as reason:
        raise EvidenceError(f"a test's seconds: {reason}", JUDGE_AGAIN) from None
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def floats_in(packed: bytes) -> "array[float]":
    """Read ``PastRun.seconds``, of one run or of several put together."""
    numbers = array("f")
    numbers.frombytes(packed)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def ascii_of(text: str) -> str:
    """``text`` as JSON has it between the quotes: any database can keep and compare that."""
    return json.dumps(text)[1:-1]


_TEXTS: Final = ("name", "version", "profile", "suite", "release", "selection", "change")


def about(record: Record) -> dict[str, Any]:
    """Return what ``record_of`` makes a record of, without the versions."""
    run = record.run
    judged = {"judged": record.judged.isoformat()} if record.judged else {}
    return judged | {
        "run_id": run.run_id,
        "created": run.created.isoformat(),
        **{name: getattr(run, name) for name in _TEXTS},
        "sources": run.sources,
        "facts": dict(run.facts),
        "result": record.result,
        "policy": record.policy,
        "counts": dict(record.counts),
        "seconds": record.seconds,
    }


def record_of(fields: Mapping[str, Any], versions: tuple[tuple[str, str], ...]) -> Record:
    """Make a record of what ``about`` returned."""
    run = Run(
        run_id=fields["run_id"],
        created=datetime.fromisoformat(fields["created"]),
        sources=tuple(fields["sources"]),
        facts=tuple(fields["facts"].items()),
        versions=versions,
        **{name: fields[name] for name in _TEXTS},
    )
    counts = MappingProxyType(fields["counts"])
    judged = datetime.fromisoformat(fields["judged"]) if "judged" in fields else None
    return Record(
        run, Result(fields["result"]), fields["policy"], counts, fields["seconds"], judged
    )


def notes(run: PastRun) -> list[Any]:
    """Return what ``findings_of`` and its like are made of."""
    return [
        [[one.id, one.cause, one.signature, one.shown_by] for one in run.findings],
        [[one.level, one.code, one.message, one.ids] for one in run.reasons],
        list(run.unmatched),
    ]


def noted(told: list[Any]) -> dict[str, Any]:
    """Return the fields of a PastRun that ``notes`` was made of."""
    findings, reasons, unmatched = told
    return {
        "findings": tuple(
            Finding(test, Cause(cause), signature, tuple(shown))
            for test, cause, signature, shown in findings
        ),
        "reasons": tuple(
            Reason(Level(level), Code(code), message, tuple(ids))
            for level, code, message, ids in reasons
        ),
        "unmatched": tuple(unmatched),
    }


def measured(run: PastRun) -> list[Any]:
    """Return what ``timings_of`` is given."""
    return [[timing.name, timing.seconds] for timing in run.timings]


def timings_of(told: list[Any]) -> tuple[Timing, ...]:
    """Return the timings of which ``measured`` told."""
    return tuple(Timing(name, seconds) for name, seconds in told)
