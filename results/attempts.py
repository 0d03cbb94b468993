# SPDX-License-Identifier: Apache-2.0
"""Loads one attempt's folder. What cannot be believed becomes a problem of the attempt."""

import hashlib
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from bsdgate.results import strict_json
from bsdgate.results.model import Attempt, Case, Code, Kind, Reason, State, error
from bsdgate.results.parsers import junit, rally, subunit

SCHEMA = 1

HEAD_BOUND = 16 * 1024 * 1024
"""Bytes of a manifest, an attempt.json or a list of asked tests."""

DOCUMENT_BOUND = 256 * 1024 * 1024
"""Bytes of a stream that is one document (XML, JSON) and not packets."""

CHUNK = 1 << 16


class UnreadableError(Exception):
    """A file of the evidence that gives nothing to judge, and the code to say so with."""

    def __init__(self, message: str, code: Code = Code.ATTEMPT_UNREADABLE) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class _Head:
    """attempt.json, checked."""

    name: str
    run_id: str
    kind: Kind
    form: str
    state: State
    exit_status: int | None
    asked: str
    stream: str
    digests: Mapping[str, Any]
    problems: tuple[str, ...]
    started: datetime | None
    ended: datetime | None


@dataclass(frozen=True, slots=True)
class _Format:
    """How one format's list of asked tests and its stream are read."""

    asked_ids: Callable[[bytes], tuple[str, ...]]
    parse: Callable[[BinaryIO, _Head, bytes], Iterator[Case | Reason]]
    bound: int | None


def _asked_lines(content: bytes) -> tuple[str, ...]:
    lines = (line.strip() for line in content.decode("utf-8").split("\n"))
    return tuple(line for line in lines if line)


def _asked_workloads(content: bytes) -> tuple[str, ...]:
    return tuple(rally.read_asked(content))


def _parse_subunit(stream: BinaryIO, head: _Head, _asked: bytes) -> Iterator[Case | Reason]:
    return subunit.parse(stream, (head.run_id, head.name))


def _parse_junit(stream: BinaryIO, _head: _Head, asked: bytes) -> Iterator[Case | Reason]:
    return junit.parse(stream, _asked_lines(asked))


def _parse_rally(stream: BinaryIO, _head: _Head, asked: bytes) -> Iterator[Case | Reason]:
    return rally.parse(stream, rally.read_asked(asked))


_FORMATS = {
    "subunit": _Format(_asked_lines, _parse_subunit, bound=None),
    "junit": _Format(_asked_lines, _parse_junit, bound=DOCUMENT_BOUND),
    "rally": _Format(_asked_workloads, _parse_rally, bound=DOCUMENT_BOUND),
}


def load_attempt(folder: Path, run_id: str) -> Attempt:
    """Read the attempt in ``folder``, which must be one of the run ``run_id``.

    Raises UnreadableError if its attempt.json cannot be used; everything else that is
    wrong is among the attempt's problems.
    """
    head = _read_head(folder, run_id)
    form = _FORMATS[head.form]
    problems = [error(Code.HARNESS_PROBLEM, problem) for problem in head.problems]
    reports: list[Case] = []
    asked: tuple[str, ...] = ()
    try:
        content = _read_asked(folder, head, problems)
        asked = form.asked_ids(content)
        for found in _read_stream(folder, head, content):
            if isinstance(found, Case):
                reports.append(found)
            else:
                problems.append(found)
    except UnreadableError as reason:
        problems.append(error(reason.code, str(reason)))
    except ValueError as reason:
        problems.append(error(Code.ATTEMPT_UNREADABLE, f"{head.asked}: {reason}"))
    return Attempt(
        name=head.name,
        kind=head.kind,
        state=head.state,
        exit_status=head.exit_status,
        asked=asked,
        reports=tuple(reports),
        problems=tuple(problems),
        started=head.started,
        ended=head.ended,
    )


def moment(value: Any) -> datetime | None:
    """An ISO time with a zone, in UTC; None if there is none."""
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return found.astimezone(UTC) if found.tzinfo else None


def open_plain(path: Path, bound: int | None) -> BinaryIO:
    """Open a regular file (no link, no device) of at most ``bound`` bytes."""
    try:
        facts = path.lstat()
    except OSError as reason:
        raise UnreadableError(f"{path.name}: {reason.strerror}", Code.EVIDENCE_LOST) from None
    if not stat.S_ISREG(facts.st_mode):
        raise UnreadableError(f"{path.name} is not a plain file")
    if bound is not None and facts.st_size > bound:
        message = f"{path.name} has {facts.st_size} bytes, more than {bound}"
        raise UnreadableError(message, Code.TOO_LARGE)
    try:
        return path.open("rb")
    except OSError as reason:
        raise UnreadableError(f"{path.name}: {reason.strerror}") from None


def _read_head(folder: Path, run_id: str) -> _Head:
    if folder.is_symlink() or not folder.is_dir():
        raise UnreadableError("not a folder")
    with open_plain(folder / "attempt.json", HEAD_BOUND) as file:
        content = file.read()
    try:
        fields = strict_json.loads_object(content)
        head = _head(fields)
    except (ValueError, KeyError, TypeError) as reason:
        raise UnreadableError(f"attempt.json: {type(reason).__name__}: {reason}") from None
    if head.run_id != run_id:
        message = f"it is evidence of the run {head.run_id}, not of {run_id}"
        raise UnreadableError(message, Code.FOREIGN_EVIDENCE)
    if head.name != folder.name:
        message = f"it is evidence of the attempt {head.name}"
        raise UnreadableError(message, Code.FOREIGN_EVIDENCE)
    return head


def _head(fields: Mapping[str, Any]) -> _Head:
    if fields["schema"] != SCHEMA:
        raise ValueError(f"schema {fields['schema']!r} is not {SCHEMA}")
    if fields["format"] not in _FORMATS:
        raise ValueError(f"format {fields['format']!r} is none of {', '.join(_FORMATS)}")
    status = fields["exit_status"]
    if status is not None and type(status) is not int:
        raise ValueError(f"exit_status {status!r} is not an integer")
    return _Head(
        name=str(fields["name"]),
        run_id=str(fields["run_id"]),
        kind=Kind(fields["kind"]),
        form=fields["format"],
        state=State(fields["state"]),
        exit_status=status,
        asked=_file_name(fields["asked"]),
        stream=_file_name(fields["stream"]),
        digests=dict(fields["sha256"]),
        problems=tuple(str(problem) for problem in fields["problems"]),
        started=moment(fields.get("started")),
        ended=moment(fields.get("ended")),
    )


def _file_name(value: str) -> str:
    if Path(value).name != value or value in ("", ".."):
        raise ValueError(f"{value!r} is not the name of a file beside it")
    return value


def _read_asked(folder: Path, head: _Head, problems: list[Reason]) -> bytes:
    with open_plain(folder / head.asked, HEAD_BOUND) as file:
        content = file.read()
    problems += _check_digest(head, head.asked, hashlib.sha256(content).hexdigest())
    return content


def _read_stream(folder: Path, head: _Head, asked: bytes) -> Iterator[Case | Reason]:
    """Parse the stream and, from the very bytes that the parser got, check its digest."""
    form = _FORMATS[head.form]
    with open_plain(folder / head.stream, form.bound) as file:
        tee = _Tee(file)
        yield from form.parse(tee, head, asked)
        while tee.read(CHUNK):
            pass  # a parser may stop early; the digest is that of the whole file
        yield from _check_digest(head, head.stream, tee.digest.hexdigest())


class _Tee(BytesIO):
    """Reads from a file and digests what it hands out."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int | None = -1, /) -> bytes:
        chunk = self._file.read(-1 if size is None else size)
        self.digest.update(chunk)
        return chunk


def _check_digest(head: _Head, name: str, actual: str) -> list[Reason]:
    if head.state is State.RUNNING:
        return []  # digests are written at the end; that state is an error by itself
    recorded = head.digests.get(name)
    if recorded == actual:
        return []
    said = "has no recorded sha256" if recorded is None else "is not what was recorded (sha256)"
    return [error(Code.DIGEST_MISMATCH, f"{name} {said}")]
