# SPDX-License-Identifier: Apache-2.0
"""Loads the folder of one attempt: one execution of a test runner.

Damaged or contradictory evidence becomes a problem of the attempt.
"""

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final, Literal, Self

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    Field,
    Strict,
    TypeAdapter,
    model_validator,
)

from bsdgate.results import strict_json
from bsdgate.results.ids import IDS_BOUND, read_ids
from bsdgate.results.model import (
    Attempt,
    Case,
    Code,
    Dated,
    Found,
    Kind,
    Reason,
    RunnerRecord,
    Side,
    State,
    Timing,
    error,
)
from bsdgate.results.parsers import junit, rally, subunit
from bsdgate.results.problems import Problem

TEXT_SCHEMA = 1
"""The schema of attempt.json in which a problem is a text without a code."""

HEAD_BOUND = 1024 * 1024
"""The maximum size of a manifest, an attempt.json or a Rally task, in bytes."""

RECORD_BOUND = 64 * 1024 * 1024
"""The maximum size of the runner's own record, in bytes."""

DOCUMENT_BOUND = 256 * 1024 * 1024
"""The maximum size of a list of requested tests, or of a stream in XML or JSON, in bytes."""

STREAM_BOUND = 16 * 1024 * 1024 * 1024
"""The maximum size of a subunit stream, in bytes. More bytes take too long to read."""

MAX_UNEXPECTED_REPORTS = 10_000
"""The maximum number of reports that are kept of ids that were not requested.

Class and module fixtures report under such ids, at most twice for each class.
"""

MAX_REPORTS_PER_TEST = 10
"""The maximum number of reports that are kept of one requested test; two make it ``duplicated``."""

TIMINGS_BOUND = 10_000
"""The maximum number of timings (durations of parts of cases) that are kept of one attempt."""

MOST_SECONDS = 366 * 86400
"""A test timeout must be below this number of seconds."""

CHUNK = 1 << 16


class UnreadableError(Exception):
    """A file of the evidence cannot be used; ``code`` is the code of the resulting reason."""

    def __init__(self, message: str, code: Code = Code.ATTEMPT_UNREADABLE) -> None:
        super().__init__(message)
        self.code = code


def moment(value: Any) -> datetime | None:
    """Return an ISO time with a time zone, converted to UTC; None if ``value`` is anything else."""
    try:
        found = datetime.fromisoformat(value)
        return found.astimezone(UTC) if found.tzinfo else None
    except (TypeError, ValueError, OverflowError):
        return None


def _beside(value: str) -> str:
    if Path(value).name != value or value in ("", "..") or "\0" in value:
        raise ValueError(f"{value!r} must be a file name, without a folder")
    return value


FileName = Annotated[str, AfterValidator(_beside)]
"""The name of a file in a given folder: no path, and not empty."""
_Moment = Annotated[datetime | None, BeforeValidator(moment)]
_Number = Annotated[int, Strict()]


class NodeRef(BaseModel, frozen=True):
    """The reference of an attempt to its node."""

    name: str
    """The name of the node."""
    sha256: str
    """The SHA-256 of ``node.json``."""


class AttemptDocument(BaseModel):
    """``attempt.json``: one execution of a runner. A null counts as an absent field."""

    schema_version: Annotated[_Number, Field(alias="schema", ge=1, le=3)]
    """The version of the document."""
    name: str
    """The name of the folder: a number, and the kind of the attempt or ``confirm-SIDE``."""
    kind: Kind
    """The runner."""
    state: Literal[State.RUNNING, State.ENDED, State.INTERRUPTED]
    """The state of the attempt."""
    exit_status: _Number | None = None
    """The exit status of the runner, if it has ended."""
    started: _Moment = None
    """When the attempt began."""
    ended: _Moment = None
    """When the attempt ended."""
    side: Side = Side.CHANGE
    """Whether the tests ran with the change under test, or on the base without it."""
    confirms: str = ""
    """The attempt with the failures that this attempt runs again."""
    test_timeout: Annotated[float, Strict(), Field(gt=0, lt=MOST_SECONDS)] = 0
    """The number of seconds that each test may take, if the runner has such a limit."""
    run_id: str
    """The id of the run; an id that differs from manifest.json is an error."""
    form: Literal["subunit", "junit", "rally"] = Field(alias="format")
    """The format of the stream."""
    asked: FileName
    """The file with the ids of the requested tests."""
    count: _Number
    """The number of requested tests."""
    stream: FileName
    """The file with the reports of the runner."""
    # In schema 1 the field was called witness.
    runner_record: FileName | None = Field(
        default=None, validation_alias=AliasChoices("runner_record", "witness")
    )
    """The file with the runner's own record of the outcomes, if the runner keeps one."""
    mark: str = ""
    """A text that a JUnit or Rally report must contain, so that another report is refused."""
    node: NodeRef | None = None
    """The node that the tests ran against, since schema 3."""
    digests: Mapping[str, Any] = Field(alias="sha256")
    """The SHA-256 of each file of the attempt, by name; null while the file is written."""
    problems: tuple[Problem, ...]
    """The problems that the harness found while the attempt ran."""

    @property
    def about_attempt(self) -> dict[str, Any]:
        """The fields that are copied into the Attempt."""
        fields = ("name", "kind", "state", "exit_status", "started", "ended", "side", "confirms")
        return self.model_dump(include={*fields, "test_timeout"})

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, given: dict[str, Any]) -> dict[str, Any]:
        known = {name: value for name, value in given.items() if value is not None}
        texts = known.get("problems")
        if known.get("schema") == TEXT_SCHEMA and isinstance(texts, list):
            known["problems"] = [Problem(Code.HARNESS_PROBLEM, str(text)) for text in texts]
        return known

    @model_validator(mode="after")
    def _base_confirms(self) -> Self:
        if self.side is Side.BASE and not self.confirms:
            raise ValueError(
                "an attempt on the base needs the name of the attempt that it confirms"
            )
        return self

    @property
    def sealed(self) -> bool:
        """Whether the stream ends with a seal; all other streams contain ``mark``."""
        return self.form == "subunit"


IDENTITY: Final = ("run_id", "change", "patchset", "with")
"""The fields that must be equal in a manifest and in every attempt.json of its run."""


def load_attempt(folder: Path, manifest: Mapping[str, Any], node: NodeRef | None = None) -> Attempt:
    """Read the attempt in ``folder``, which must belong to the run of ``manifest``.

    ``node`` is the node of the run, to which the attempt must refer; None in runs of older versions
    of bsdgate, which had no document of the node.

    Raises UnreadableError if attempt.json cannot be used, or is of another run. Every other fault
    becomes a problem of the attempt.
    """
    head = _read_head(folder, manifest, node)
    problems = [error(problem.code, problem.text) for problem in head.problems]
    asked: tuple[str, ...] = ()
    reports: list[Case] = []
    record = None
    timings: list[Timing] = []
    try:
        found = _read_asked(folder, head, problems)
        asked = tuple(found)
        if len(asked) != head.count:
            # Else a lost id of a skipped class is not noticed: one report covers all its tests.
            message = f"{head.asked} has {len(asked)} ids, but attempt.json has count {head.count}"
            problems.append(error(Code.TRUNCATED, message))
        reports = gather(_read_stream(folder, head, found), asked, problems, timings)
        record = _read_record(folder, head, problems)
    except UnreadableError as reason:
        problems.append(error(reason.code, str(reason)))
    except ValueError as reason:
        problems.append(error(Code.DAMAGED, f"{head.stream}: {reason}"))
    return Attempt(
        **head.about_attempt,
        asked=asked,
        reports=reports,
        problems=tuple(problems),
        runner_record=record,
        timings=tuple(timings),
    )


def gather(
    found: Iterable[Found],
    asked: Collection[str] | None,
    problems: list[Reason],
    timings: list[Timing],
) -> list[Case]:
    """Return the cases that a parser found; add reasons to ``problems``, timings to ``timings``.

    ``asked`` is None if there is no list of requested tests.
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
        message = f"{left_out} reports are left out: more than {most} of tests not requested"
        message += f", or more than {MAX_REPORTS_PER_TEST} of one test"
        problems.append(error(Code.TOO_LARGE, message))
    if untimed:
        message = f"{untimed} atomic actions are left out: more than {TIMINGS_BOUND}"
        problems.append(error(Code.TOO_LARGE, message))
    return reports


def open_plain(path: Path, bound: int) -> BinaryIO:
    """Open a regular file of at most ``bound`` bytes; raise UnreadableError for any other."""
    try:
        # Check the type before opening: opening a device can have side effects. The file may be
        # replaced by a link or a pipe in between: O_NOFOLLOW and O_NONBLOCK cover that.
        _check_plain(path, path.lstat().st_mode)
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")
    except FileNotFoundError as reason:
        raise UnreadableError(f"{path.name}: {reason.strerror}", Code.EVIDENCE_LOST) from None
    except OSError as reason:
        raise UnreadableError(f"{path.name}: {reason.strerror}") from None
    try:
        facts = os.fstat(file.fileno())
        _check_plain(path, facts.st_mode)
        if facts.st_size > bound:
            message = f"{path.name} has {facts.st_size} bytes; the maximum is {bound}"
            raise UnreadableError(message, Code.TOO_LARGE)
    except UnreadableError:
        file.close()
        raise
    return file


def _check_plain(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise UnreadableError(f"{path.name} is not a regular file")


def _read_head(folder: Path, manifest: Mapping[str, Any], node: NodeRef | None) -> AttemptDocument:
    if folder.is_symlink() or not folder.is_dir():
        raise UnreadableError("not a folder")
    with open_plain(folder / "attempt.json", HEAD_BOUND) as file:
        content = file.read()
    try:
        fields = strict_json.loads_object(content)
        head = AttemptDocument.model_validate(fields)
    except ValueError as reason:
        raise UnreadableError(f"attempt.json: {strict_json.explain(reason)}") from None
    for name in IDENTITY:
        its, ours = fields.get(name) or None, manifest.get(name) or None
        if its != ours:
            message = f"attempt.json is of another run: {name} is {its!r:.200}, not {ours!r:.200}"
            raise UnreadableError(message, Code.FOREIGN_EVIDENCE)
    if head.node != node:
        message = f"attempt.json has the node {_named(head.node)}, but the run has {_named(node)}"
        raise UnreadableError(message, Code.FOREIGN_EVIDENCE)
    if head.name != folder.name:
        message = f"attempt.json is of another attempt: {head.name}"
        raise UnreadableError(message, Code.FOREIGN_EVIDENCE)
    return head


def _named(node: NodeRef | None) -> str:
    return f"{node.name:.50} (node.json {node.sha256:.12})" if node else "none"


def _read_asked(folder: Path, head: AttemptDocument, problems: list[Reason]) -> Collection[str]:
    with open_plain(folder / head.asked, DOCUMENT_BOUND) as file:
        tee = Tee(file)
        try:
            rallys = head.form == "rally"
            asked = rally.read_asked(tee.read()) if rallys else read_ids(tee)
        except ValueError as reason:
            raise UnreadableError(f"{head.asked}: {reason}") from None
        if asked and not rallys and tee.end != b"\n":
            problems.append(error(Code.TRUNCATED, f"the last line of {head.asked} is incomplete"))
    problems += _check_digest(head, head.asked, tee.digest.hexdigest())
    return asked


def _read_record(
    folder: Path, head: AttemptDocument, problems: list[Reason]
) -> RunnerRecord | None:
    if head.runner_record is None:
        return None
    with open_plain(folder / head.runner_record, RECORD_BOUND) as file:
        content = file.read()
    problems += _check_digest(head, head.runner_record, hashlib.sha256(content).hexdigest())
    try:
        return TypeAdapter(RunnerRecord).validate_python(strict_json.loads_object(content))
    except ValueError as reason:
        raise UnreadableError(f"{head.runner_record}: {strict_json.explain(reason)}") from None


def _read_stream(folder: Path, head: AttemptDocument, asked: Collection[str]) -> Iterator[Found]:
    """Parse the stream; check the digest and the mark on the same bytes that the parser read."""
    bound = STREAM_BOUND if head.sealed else DOCUMENT_BOUND
    with open_plain(folder / head.stream, bound) as file:
        tee = Tee(file, head.mark)
        found = _parse(tee, head, asked)
        yield from (one for one in found if not isinstance(one, Dated))
        while tee.read(CHUNK):
            pass  # a parser may stop early; the digest covers the whole file
        yield from _check_digest(head, head.stream, tee.digest.hexdigest())
        if not head.sealed and not tee.marked and file.tell():
            message = f"{head.stream} does not contain the mark of this attempt"
            yield error(Code.FOREIGN_EVIDENCE, message)


def _parse(stream: BinaryIO, head: AttemptDocument, asked: Any) -> Iterator[Found | Dated]:
    if head.sealed:
        return subunit.parse(stream, (head.run_id, head.name))
    return rally.parse(stream, asked) if head.form == "rally" else junit.parse(stream, asked)


class Tee(BytesIO):
    """Reads from a file, computes the digest of the bytes read and looks for a mark in them.

    ``end`` is the last byte read. ``marked``: whether the mark was found, or no mark was given.
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


def _check_digest(head: AttemptDocument, name: str, actual: str) -> list[Reason]:
    if head.state is State.RUNNING:
        return []  # digests are written when an attempt ends; the state running is an error anyway
    recorded = head.digests.get(name)
    if recorded == actual:
        return []
    fault = "has no recorded sha256" if recorded is None else "does not have the recorded sha256"
    return [error(Code.DIGEST_MISMATCH, f"{name} {fault}")]
