# SPDX-License-Identifier: Apache-2.0
"""Loads the folder of one attempt. Damaged or contradictory evidence becomes a problem of it."""

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Final

from bsdgate.results import problems as harness_problems
from bsdgate.results import strict_json
from bsdgate.results.ids import IDS_BOUND, read_ids
from bsdgate.results.model import (
    Attempt,
    Case,
    Code,
    Dated,
    Found,
    Kind,
    Outcome,
    Reason,
    RunnerRecord,
    Side,
    State,
    Timing,
    error,
)
from bsdgate.results.parsers import junit, rally, subunit

SCHEMAS = (1, 2)

HEAD_BOUND = 1024 * 1024
"""The most bytes of a manifest, an attempt.json or a Rally task."""

RECORD_BOUND = 64 * 1024 * 1024
"""The most bytes of the runner's own record."""

DOCUMENT_BOUND = 256 * 1024 * 1024
"""The most bytes of a list of asked tests, or of a stream that is one document (XML, JSON)."""

STREAM_BOUND = 16 * 1024 * 1024 * 1024
"""The most bytes of a stream of packets. It is not kept in memory; more takes too long to read."""

MAX_UNEXPECTED_REPORTS = 10_000
"""The most reports that are kept of ids that were not asked.

Class and module fixtures report too, at most twice for each class.
"""

MAX_REPORTS_PER_TEST = 10
"""The most reports that are kept of one asked test; a second one makes it duplicated."""

TIMINGS_BOUND = 10_000
"""The most timings (parts of cases) that are kept of one attempt."""

MOST_SECONDS = 366 * 86400
"""The upper bound of a test timeout."""

CHUNK = 1 << 16


class UnreadableError(Exception):
    """A file of the evidence cannot be used; ``code`` is the code of the reason for the verdict."""

    def __init__(self, message: str, code: Code = Code.ATTEMPT_UNREADABLE) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class _Head:
    """The checked content of attempt.json."""

    name: str
    run_id: str
    kind: Kind
    form: str
    state: State
    exit_status: int | None
    asked: str
    count: int
    stream: str
    digests: Mapping[str, Any]
    problems: tuple[Reason, ...]
    started: datetime | None
    ended: datetime | None
    side: Side
    confirms: str
    runner_record: str | None
    mark: str
    test_timeout: float


@dataclass(frozen=True, slots=True)
class _Format:
    """How the list of asked tests and the stream of one format are read.

    ``read`` returns a collection of ids, which ``parse`` gets unchanged. A
    ``sealed`` stream names its run and attempt at its end; others contain the mark of the attempt.
    """

    read: Callable[[BinaryIO], Collection[str]]
    parse: Callable[[BinaryIO, _Head, Any], Iterator[Found | Dated]]
    bound: int
    sealed: bool = False


def _read_workloads(file: BinaryIO) -> rally.Asked:
    return rally.read_asked(file.read())


def _parse_subunit(stream: BinaryIO, head: _Head, _asked: object) -> Iterator[Case | Reason]:
    return subunit.parse(stream, (head.run_id, head.name))


def _parse_junit(stream: BinaryIO, _: _Head, asked: tuple[str, ...]) -> Iterator[Found | Dated]:
    return junit.parse(stream, asked)


def _parse_rally(stream: BinaryIO, _: _Head, asked: rally.Asked) -> Iterator[Found | Dated]:
    return rally.parse(stream, asked)


_FORMATS = {
    "subunit": _Format(read_ids, _parse_subunit, STREAM_BOUND, sealed=True),
    "junit": _Format(read_ids, _parse_junit, DOCUMENT_BOUND),
    "rally": _Format(_read_workloads, _parse_rally, DOCUMENT_BOUND),
}


IDENTITY: Final = ("run_id", "change", "patchset", "with")
"""The fields that must be equal in a manifest and in every attempt.json of its run."""


def load_attempt(folder: Path, manifest: Mapping[str, Any]) -> Attempt:
    """Read the attempt in ``folder``, which must belong to the run of ``manifest``.

    Raises UnreadableError if its attempt.json cannot be used. Every other fault is among the
    problems of the attempt.
    """
    head = _read_head(folder, manifest)
    problems = list(head.problems)
    asked: tuple[str, ...] = ()
    reports: list[Case] = []
    record = None
    timings: list[Timing] = []
    try:
        found = _read_asked(folder, head, problems)
        asked = tuple(found)
        if len(asked) != head.count:
            # Else a loss of ids stays unseen: a skipped class reports one id for all its tests.
            message = f"{head.asked} has {len(asked)} ids, but {head.count} were written"
            problems.append(error(Code.TRUNCATED, message))
        reports = gather(_read_stream(folder, head, found), asked, problems, timings)
        record = _read_record(folder, head, problems)
    except UnreadableError as reason:
        problems.append(error(reason.code, str(reason)))
    except ValueError as reason:
        problems.append(error(Code.DAMAGED, f"{head.stream}: {reason}"))
    return Attempt(
        name=head.name,
        kind=head.kind,
        state=head.state,
        exit_status=head.exit_status,
        asked=asked,
        reports=reports,
        problems=tuple(problems),
        started=head.started,
        ended=head.ended,
        side=head.side,
        confirms=head.confirms,
        runner_record=record,
        timings=tuple(timings),
        test_timeout=head.test_timeout,
    )


def gather(
    found: Iterable[Found],
    asked: Collection[str] | None,
    problems: list[Reason],
    timings: list[Timing],
) -> list[Case]:
    """Return the cases that a parser found; add the rest to ``problems`` and ``timings``.

    ``asked`` is None if there is no list of asked tests.
    """
    known = frozenset(asked or ())
    times: Counter[str] = Counter()
    reports: list[Case] = []
    unexpected = left_out = untimed = 0
    most = IDS_BOUND if asked is None else MAX_UNEXPECTED_REPORTS
    for one in found:
        if isinstance(one, Reason):
            problems.append(one)
        elif isinstance(one, Timing):
            untimed += len(timings) >= TIMINGS_BOUND
            timings += [one] if len(timings) < TIMINGS_BOUND else []
        elif one.id in known and times[one.id] < MAX_REPORTS_PER_TEST:
            times[one.id] += 1
            reports.append(one)
        elif one.id not in known and unexpected < most:
            unexpected += 1
            reports.append(one)
        else:
            left_out += 1
    if left_out:
        message = f"{left_out} reports are left out: more than {most} of tests that were not asked"
        message += f", or more than {MAX_REPORTS_PER_TEST} of one test"
        problems.append(error(Code.TOO_LARGE, message))
    if untimed:
        message = f"{untimed} atomic actions beyond {TIMINGS_BOUND} are left out"
        problems.append(error(Code.TOO_LARGE, message))
    return reports


def moment(value: Any) -> datetime | None:
    """Return an ISO time with a time zone in UTC; None if ``value`` is not such a time."""
    try:
        found = datetime.fromisoformat(value)
        return found.astimezone(UTC) if found.tzinfo else None
    except (TypeError, ValueError, OverflowError):
        return None


def open_plain(path: Path, bound: int) -> BinaryIO:
    """Open a regular file (no link, no device) of at most ``bound`` bytes."""
    try:
        # Check the type before opening: opening a device can have side effects. The file may be
        # replaced by a link or a pipe in between: O_NOFOLLOW and O_NONBLOCK cover that.
        plain = stat.S_ISREG(path.lstat().st_mode)
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK) if plain else None
    except FileNotFoundError as reason:
        raise UnreadableError(f"{path.name}: {reason.strerror}", Code.EVIDENCE_LOST) from None
    except OSError as reason:
        raise UnreadableError(f"{path.name}: {reason.strerror}") from None
    if descriptor is None:
        raise UnreadableError(f"{path.name} is not a plain file")
    file = os.fdopen(descriptor, "rb")
    facts = os.fstat(descriptor)
    if stat.S_ISREG(facts.st_mode) and facts.st_size <= bound:
        return file
    file.close()
    if not stat.S_ISREG(facts.st_mode):
        raise UnreadableError(f"{path.name} is not a plain file")
    message = f"{path.name} has {facts.st_size} bytes, more than {bound}"
    raise UnreadableError(message, Code.TOO_LARGE)


def _read_head(folder: Path, manifest: Mapping[str, Any]) -> _Head:
    if folder.is_symlink() or not folder.is_dir():
        raise UnreadableError("not a folder")
    with open_plain(folder / "attempt.json", HEAD_BOUND) as file:
        content = file.read()
    try:
        fields = strict_json.loads_object(content)
        head = _head(fields)
    except (ValueError, KeyError, TypeError) as reason:
        raise UnreadableError(f"attempt.json: {type(reason).__name__}: {reason}") from None
    for name in IDENTITY:
        its, ours = fields.get(name) or None, manifest.get(name) or None
        if its != ours:
            message = f"it is evidence of another run: {name} is {its!r:.200}, not {ours!r:.200}"
            raise UnreadableError(message, Code.FOREIGN_EVIDENCE)
    if head.name != folder.name:
        message = f"it is evidence of the attempt {head.name}"
        raise UnreadableError(message, Code.FOREIGN_EVIDENCE)
    return head


def _head(fields: Mapping[str, Any]) -> _Head:
    schema = fields["schema"]
    if type(schema) is not int or schema not in SCHEMAS:
        raise ValueError(f"schema {schema!r} is none of {SCHEMAS}")
    if fields["format"] not in _FORMATS:
        raise ValueError(f"format {fields['format']!r} is none of {', '.join(_FORMATS)}")
    status, problems = fields["exit_status"], fields["problems"]
    if status is not None and type(status) is not int:
        raise ValueError(f"exit_status {status!r} is not an integer")
    if not isinstance(problems, list):
        raise ValueError("problems is no list")
    side, confirms = Side(fields.get("side") or Side.CHANGE), fields.get("confirms") or ""
    if not isinstance(confirms, str) or (side is Side.BASE and not confirms):
        raise ValueError(f"on the {side}, confirms {confirms!r}: not the name of an attempt")
    # In schema 1 the field was called witness.
    record = fields.get("runner_record", fields.get("witness"))
    mark = fields.get("mark") or ""
    if not isinstance(mark, str):
        raise ValueError(f"mark {mark!r} is not a text")
    return _Head(
        name=str(fields["name"]),
        run_id=str(fields["run_id"]),
        kind=Kind(fields["kind"]),
        form=fields["format"],
        state=_state(fields["state"]),
        exit_status=status,
        asked=_file_name(fields["asked"]),
        count=int(fields["count"]),
        stream=_file_name(fields["stream"]),
        digests=dict(fields["sha256"]),
        problems=tuple(harness_problems.read(problem, schema) for problem in problems),
        started=moment(fields.get("started")),
        ended=moment(fields.get("ended")),
        side=side,
        confirms=confirms,
        runner_record=None if record is None else _file_name(record),
        mark=mark,
        test_timeout=_seconds(fields.get("test_timeout")),
    )


def _seconds(value: Any) -> float:
    if value is None:
        return 0
    if type(value) not in (int, float) or not 0 < value < MOST_SECONDS:
        raise ValueError(f"{value!r:.80} is not a number of seconds")
    return float(value)


def _state(value: Any) -> State:
    if value == State.FOUND:
        raise ValueError(f"{value!r} is not a state of an attempt of the harness")
    return State(value)


def _file_name(value: str) -> str:
    if Path(value).name != value or value in ("", "..") or "\0" in value:
        raise ValueError(f"{value!r} is not the name of a file beside it")
    return value


def _read_asked(folder: Path, head: _Head, problems: list[Reason]) -> Collection[str]:
    with open_plain(folder / head.asked, DOCUMENT_BOUND) as file:
        tee = Tee(file)
        try:
            asked = _FORMATS[head.form].read(tee)
        except ValueError as reason:
            raise UnreadableError(f"{head.asked}: {reason}") from None
        if asked and _FORMATS[head.form].read is read_ids and tee.end != b"\n":
            problems.append(error(Code.TRUNCATED, f"{head.asked} ends within a line"))
    problems += _check_digest(head, head.asked, tee.digest.hexdigest())
    return asked


def _read_record(folder: Path, head: _Head, problems: list[Reason]) -> RunnerRecord | None:
    if head.runner_record is None:
        return None
    with open_plain(folder / head.runner_record, RECORD_BOUND) as file:
        content = file.read()
    problems += _check_digest(head, head.runner_record, hashlib.sha256(content).hexdigest())
    try:
        fields = strict_json.loads_object(content)
        others = tuple((str(test_id), Outcome(outcome)) for test_id, outcome in fields["others"])
        return RunnerRecord(int(fields["reports"]), others)
    except (ValueError, KeyError, TypeError, OverflowError) as reason:
        raise UnreadableError(f"{head.runner_record}: {type(reason).__name__}: {reason}") from None


def _read_stream(folder: Path, head: _Head, asked: Collection[str]) -> Iterator[Found]:
    """Parse the stream; check the digest and the mark of the same bytes that the parser read."""
    form = _FORMATS[head.form]
    with open_plain(folder / head.stream, form.bound) as file:
        tee = Tee(file, head.mark)
        yield from (one for one in form.parse(tee, head, asked) if not isinstance(one, Dated))
        while tee.read(CHUNK):
            pass  # a parser may stop early; the digest covers the whole file
        yield from _check_digest(head, head.stream, tee.digest.hexdigest())
        if not form.sealed and not tee.marked and file.tell():
            message = f"{head.stream} does not contain the mark of this attempt"
            yield error(Code.FOREIGN_EVIDENCE, message)


class Tee(BytesIO):
    """Reads from a file, computes the digest of the bytes read and looks for a mark in them.

    ``end`` is the last byte read. ``marked`` is true if the mark was found, or none was given.
    """

    def __init__(self, file: BinaryIO, mark: str = "") -> None:
        super().__init__()
        self._file = file
        self._mark = mark.encode()
        self._last = b""
        self.end = b""
        self.marked = not mark
        self.digest = hashlib.sha256()

    def read(self, size: int | None = -1, /) -> bytes:
        """Read up to ``size`` bytes."""
        return self._note(self._file.read(-1 if size is None else size))

    def readline(self, size: int | None = -1, /) -> bytes:
        """Read a line of up to ``size`` bytes."""
        return self._note(self._file.readline(-1 if size is None else size))

    def _note(self, piece: bytes) -> bytes:
        self.digest.update(piece)
        self.end = piece[-1:] or self.end
        if not self.marked:
            length = len(self._mark)
            self.marked = self._mark in piece or self._mark in self._last + piece[:length]
            self._last = (self._last + piece[-length:])[-length:]
        return piece


def _check_digest(head: _Head, name: str, actual: str) -> list[Reason]:
    if head.state is State.RUNNING:
        return []  # digests are written when an attempt ends; the state running is an error anyway
    recorded = head.digests.get(name)
    if recorded == actual:
        return []
    fault = "has no recorded sha256" if recorded is None else "is not what was recorded (sha256)"
    return [error(Code.DIGEST_MISMATCH, f"{name} {fault}")]
