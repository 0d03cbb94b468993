# SPDX-License-Identifier: Apache-2.0
"""The parts of a verdict that the history keeps: the record of the run, notes, and its tests.

The outcomes of a run are one letter for each test, the durations one float for each test. Record
and notes are JSON, written and read by pydantic.
"""

import hashlib
import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Final

from pydantic import ConfigDict, TypeAdapter

from bsdgate.results.document import JUDGE_AGAIN
from bsdgate.results.errors import EvidenceError
from bsdgate.results.model import RAN, Case, Disposition, Outcome, Reason, Result, Run, Verdict

NAME_BOUND: Final = 400
"""The maximum length of each field in NAMED, in characters of its JSON text."""

IDS_KEPT: Final = 20
"""The maximum number of test ids kept with each reason; verdict.json has all."""

LETTERS: Final[Mapping[Outcome, int]] = {
    Outcome.SUCCESS: ord("s"),
    Outcome.FAIL: ord("f"),
    Outcome.SKIP: ord("k"),
    Outcome.XFAIL: ord("x"),
    Outcome.UXSUCCESS: ord("u"),
    Outcome.KNOWN_FAILURE: ord("n"),
    Outcome.KNOWN_FAILURE_PASSED: ord("p"),
    Outcome.MISSING: ord("m"),
    Outcome.DUPLICATED: ord("d"),
}
OUTCOMES: Final[Mapping[int, Outcome]] = {letter: outcome for outcome, letter in LETTERS.items()}
_LETTERS: Final = bytes(OUTCOMES)
_FLOAT: Final = struct.Struct("<f")

NAMED: Final = ("run_id", "name", "suite", "profile", "release", "selection")
"""The fields by which a run is looked up."""

# Pydantic builds its validators when they are first used: building takes longer than the imports.
# Infinite numbers and NaN are written as constants: JSON has no numbers for them.
_AS_NEEDED: Final[ConfigDict] = {"defer_build": True, "ser_json_inf_nan": "constants"}


@dataclass(frozen=True, slots=True)
class Record:
    """A run without its tests; ``run`` has all its fields except ``features``.

    ``seconds`` is the duration of its attempts, ``judged`` the time when the verdict was made.
    """

    __pydantic_config__ = _AS_NEEDED

    run: Run
    result: Result
    policy: str
    counts: Mapping[str, int]
    seconds: float | None = None
    judged: datetime | None = None


@dataclass(frozen=True, slots=True)
class Notes:
    """The other parts of a verdict that are kept.

    ``dispositions`` have the causes and excuses of failures, ``unmatched`` the known-failure
    entries that matched no test, ``timings`` the seconds that parts of tests took.
    """

    __pydantic_config__ = _AS_NEEDED

    dispositions: tuple[Disposition, ...] = ()
    reasons: tuple[Reason, ...] = ()
    unmatched: tuple[str, ...] = ()
    timings: Mapping[str, float] = field(default_factory=dict)


RECORDS: Final = TypeAdapter(Record)
NOTES: Final = TypeAdapter(Notes)


@dataclass(frozen=True)
class PastRun:
    """An earlier run with its tests.

    ``outcomes`` has a letter for each of ``ids``, ``seconds`` a little-endian float of four bytes,
    NaN if the duration is unknown.

    :raises ValueError: outcomes or durations do not fit the ids.
    """

    record: Record
    ids: tuple[str, ...]
    outcomes: bytes
    seconds: bytes
    notes: Notes = field(default_factory=Notes)

    def __post_init__(self) -> None:
        lengths = {len(self.ids), len(self.outcomes), len(self.seconds) / _FLOAT.size}
        if len(lengths) > 1 or self.outcomes.translate(None, _LETTERS):
            raise ValueError(f"the outcomes of the run {self.record.run.run_id} are damaged")

    def outcome(self, place: int) -> Outcome:
        """Return the outcome of the test with the id ``ids[place]``."""
        return OUTCOMES[self.outcomes[place]]

    def duration(self, place: int) -> float | None:
        """Return the duration of the test ``ids[place]`` in seconds; None if it is unknown."""
        (seconds,) = _FLOAT.unpack_from(self.seconds, _FLOAT.size * place)
        # The duration is negative if the clock was set back.
        return seconds if seconds >= 0 else None

    @cached_property
    def dispositions(self) -> Mapping[str, Disposition]:
        """The dispositions, by test id."""
        return {one.id: one for one in self.notes.dispositions}

    @property
    def ran(self) -> frozenset[str]:
        """The ids of the tests that were executed."""
        return frozenset(test for place, test in enumerate(self.ids) if self.outcome(place) in RAN)

    @property
    def digest(self) -> bytes:
        """The SHA-256 of all stored parts: equal parts have the same digest."""
        texts = RECORDS.dump_json(self.record), NOTES.dump_json(self.notes)
        ids = json.dumps(self.ids).encode()
        return hashlib.sha256(b"".join((*texts, ids, self.outcomes, self.seconds))).digest()


def pack(verdict: Verdict) -> PastRun:
    """Return the parts of a verdict that are stored.

    :raises EvidenceError: the run has no id, an invalid time or a name that is too long; a test is
        listed twice or has an invalid duration.
    """
    cases = verdict.cases
    ids = tuple(case.id for case in cases)
    if len(set(ids)) != len(ids):
        raise EvidenceError("the verdict has a test more than once", JUDGE_AGAIN)
    return PastRun(
        record=Record(
            run=replace(_checked(verdict.run), features=()),
            result=verdict.result,
            policy=verdict.policy,
            counts=dict(verdict.counts),
            seconds=verdict.seconds,
            judged=verdict.judged,
        ),
        ids=ids,
        outcomes=bytes(LETTERS[case.outcome] for case in cases),
        seconds=_packed(cases),
        notes=Notes(
            dispositions=verdict.dispositions,
            reasons=tuple(replace(one, ids=one.ids[:IDS_KEPT]) for one in verdict.reasons),
            unmatched=verdict.unmatched,
            timings=dict(verdict.timings),
        ),
    )


def _checked(run: Run) -> Run:
    """Check the id, names and time of a run; return the run with its time in UTC."""
    if not run.run_id:
        raise EvidenceError("the verdict has no run id", JUDGE_AGAIN)
    for name in NAMED:
        if len(value := ascii_of(getattr(run, name))) > NAME_BOUND:
            message = f"the run's {name} has {len(value)} characters; the limit is {NAME_BOUND}"
            raise EvidenceError(message, JUDGE_AGAIN)
    try:
        if run.created.tzinfo is None:
            raise ValueError("the time has no time zone")
        return replace(run, created=run.created.astimezone(UTC))
    except (ValueError, OverflowError) as reason:
        message = f"the run's creation time {run.created} is not valid: {reason}"
        raise EvidenceError(message, JUDGE_AGAIN) from None


def _packed(cases: Sequence[Case]) -> bytes:
    try:
        seconds = (math.nan if case.seconds is None else case.seconds for case in cases)
        return b"".join(map(_FLOAT.pack, seconds))
    except (struct.error, OverflowError) as reason:
        raise EvidenceError(f"the duration of a test is not valid: {reason}", JUDGE_AGAIN) from None


def ascii_of(text: str) -> str:
    """Return ``text`` as ASCII JSON without the quotes, so that any database can store it."""
    return json.dumps(text)[1:-1]
