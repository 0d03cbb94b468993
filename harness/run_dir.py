# SPDX-License-Identifier: Apache-2.0
"""The run directory: all files of a run. No other module writes them, except ``report/``.

A file that is written once is written atomically. The journal and the streams are only appended to,
so the directory of a killed run can be read and resumed. All files are private to the user.
"""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, Self

from pydantic import TypeAdapter

from bsdgate.harness import files, folders
from bsdgate.harness.errors import UsageError
from bsdgate.harness.manifest import Inspection, Manifest, NodeDocument, RunnerKind
from bsdgate.results.problems import Problem

ATTEMPT_SCHEMA: Final = 3

Format = Literal["subunit", "junit", "rally"]
NODE: Final = "node.json"
INSPECTIONS: Final = "node"
"""The folder with the inspections of the node."""
RUNNER_RECORD: Final = "runner-record.json"
ATTEMPT: Final = "attempt"
"""The journal's step for the begin of an attempt: the judge detects attempts that are missing."""

WORKERS: Final = "workers.json"
"""The file, in the directory of an attempt, with the ids of the tests of each worker."""
SPLIT: Final = "split.json"
"""The file with the ids of the tests of each worker, in a run that reproduces another run."""

JournalEvent = Literal["begin", "end", "fail", "interrupt"]

LAYOUT: Final = {
    "manifest.json": "The request: what to run. Written once, before all other files.",
    "node.json": "The properties of the node, and the versions that are installed on it.",
    "node/*-begin.json": "The node when the run began, or was resumed: packages, boot, clock.",
    "node/*-end.json": "The node after the tests. The judge compares both inspections.",
    "journal.jsonl": "A line of JSON for each begin, failure and end of a step or an attempt.",
    "lock": "Locked by the process that uses the directory; contains its process id.",
    "split.json": "The tests of each worker in the run that this run reproduces.",
    "excluded.json": "The tests that the suite or the profile leaves out, with the reasons.",
    "clouds.yaml": "The URL and the credentials of the cloud, for OpenStack's clients.",
    "connection.json": "The connection to the node of a cloud that was kept (``--keep``).",
    "accounts.yaml": "The accounts of the cloud for tests, in Tempest's format.",
    "standing.json": "The standing cloud, the prefix, and whether all resources are removed.",
    "baseline.json": "The resources of a standing cloud before the run, with field digests.",
    "requests.jsonl": "The requests that can alter a standing cloud, and the ids they created.",
    "audit.json": "The resources of others that changed or disappeared during the run.",
    "expectations/*": "The files of known failures of ``--expectations``.",
    "evidence/*/attempt.json": "An attempt: one execution of a runner.",
    "evidence/*/asked.*": "The tests that the attempt had to run.",
    "evidence/*/stream.*": "The output of the runner: subunit, JUnit XML or Rally's report.",
    "evidence/*/runner-record.json": "The outcomes in the runner's own database.",
    "evidence/*/workers.json": "The ids of the tests of each worker of Tempest.",
    "logs/*": "The logs of the harness, of the runners, and of the services (``services/``).",
    "tempest/*": "The workspace of Tempest.",
    "tempest-home/*": "The home directory of Tempest.",
    "rally/*": "The workspace of Rally.",
    "apichecks-home/*": "The home directory of the checks through openstacksdk.",
    "base/*": "The cloud without the change, with the files of its runner.",
    "again/*": "Another cloud with the change, with the files of its runner.",
    "cloud/*": "The embedded cloud, until the run removes it.",
    "report/report.html": "The report for a browser.",
    "report/report.txt": "The report as text.",
    "report/report.xml": "The report as JUnit XML.",
    "report/verdict.json": "The verdict.",
    "report/zuul.json": "The data that a Zuul job returns by ``zuul_return``.",
    ".bsdgate": "Marks a directory that bsdgate made and may remove.",
}
"""The files of a run directory: the description by the pattern of the path."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_FILES: Final[dict[Format, tuple[str, str]]] = {
    "subunit": ("asked.txt", "stream.subunit"),
    "junit": ("asked.txt", "stream.xml"),
    "rally": ("asked.json", "stream.json"),
}


def read_workers(path: Path) -> Sequence[Sequence[str]]:
    """Return the ids of the tests of each worker in a file, such as ``workers.json``.

    :raises ValueError: the file is damaged.
    """
    return TypeAdapter(tuple[tuple[str, ...], ...]).validate_json(path.read_bytes())


def _now() -> datetime:
    return datetime.now(UTC)


class Stream:
    """A file of evidence that is only appended to; its digest is computed at the same time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._digest = hashlib.sha256()
        with files.explain_errors(path):
            self._fd = files.open_private(path, os.O_APPEND | os.O_EXCL)

    def write(self, data: bytes) -> None:
        """Append ``data``, and add it to the digest."""
        with files.explain_errors(self.path):
            files.write_all(self._fd, data)
        self._digest.update(data)

    def close(self) -> str:
        """Sync the file to the disk, close it, and return its SHA-256."""
        with files.explain_errors(self.path):
            os.fsync(self._fd)
            os.close(self._fd)
        return self._digest.hexdigest()


class Attempt:
    """One execution of a runner: the list of tests, and the stream of their reports."""

    def __init__(self, folder: Path, head: dict[str, Any], stream: Stream) -> None:
        self.folder: Final = folder
        self.stream: Final = stream
        self._head = head

    @property
    def name(self) -> str:
        """The attempt's name, such as ``02-tempest``."""
        return self.folder.name

    @property
    def run_id(self) -> str:
        """The id of the run that the attempt belongs to."""
        return str(self._head["run_id"])

    @property
    def mark(self) -> str:
        """The text that a runner writes into its report, to identify the attempt."""
        return str(self._head["mark"])

    def end(
        self, exit_status: int, problems: Sequence[Problem] = (), record: bytes | None = None
    ) -> None:
        """Close the evidence of a runner that ended by itself. Each problem is an ERROR reason.

        ``record`` has the outcomes in the runner's own database (results.crosscheck.record).
        """
        if record is not None:
            with files.explain_errors(self.folder):
                files.write_atomically(self.folder / RUNNER_RECORD, record)
            self._head["runner_record"] = RUNNER_RECORD
            self._head["sha256"][RUNNER_RECORD] = hashlib.sha256(record).hexdigest()
        self._close(problems, state="ended", exit_status=exit_status)

    def interrupt(self, problems: Sequence[Problem] = ()) -> None:
        """Close the evidence of a stopped runner; a later attempt runs the remaining tests."""
        self._close(problems, state="interrupted", exit_status=None)

    def _close(self, problems: Sequence[Problem], **given: Any) -> None:
        fields = {**given, "problems": [problem.fields for problem in problems]}
        _close_attempt(self.folder, self._head, self.stream.close(), **fields)


class RunDir:
    """A run directory, locked by this process until ``close``."""

    def __init__(self, path: Path, manifest: Manifest, lock: BinaryIO) -> None:
        self.path: Final = path
        self.manifest: Final = manifest
        self.logs: Final = path / "logs"
        self.cloud: Final = path / "cloud"
        self.evidence: Final = path / "evidence"
        self.report: Final = path / "report"
        self._lock = lock
        self._journal = path / "journal.jsonl"
        self._node = path / NODE

    @classmethod
    def create(cls, base: Path, manifest: Manifest) -> Self:
        """Make the directory ``base``/NAME of a new run.

        :raises UsageError: the name is invalid or in use, or ``base`` is not writable.
        :raises InfrastructureError: the disk is full or broken.
        """
        if not _NAME.fullmatch(manifest.name):
            raise UsageError(
                f"{manifest.name!r} cannot be the name of a run",
                "use letters, digits, '.', '_' and '-', a letter or digit first",
            )
        path = base / manifest.name
        with files.explain_errors(path):
            try:
                folders.make_marked(path)
            except FileExistsError as error:
                raise UsageError(
                    f"the run {path} exists already", "choose another name, or --resume that run"
                ) from error
            with contextlib.ExitStack() as undo:
                undo.callback(folders.remove_tree, path, inside=base)
                lock = undo.enter_context(_take_lock(path))
                _fill(path, manifest)
                undo.pop_all()
        return cls(path, manifest, lock)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a run to resume it; close attempts that a killed harness left open.

        :raises UsageError: ``path`` is no run, is in use, or was made by another bsdgate.
        """
        if not (path / "manifest.json").is_file():
            raise UsageError(
                f"{path} is not a run directory: it has no manifest.json",
                "give the directory that `bsdgate run` printed",
            )
        with files.explain_errors(path), contextlib.ExitStack() as undo:
            lock = undo.enter_context(_take_lock(path))
            manifest = Manifest.read(path / "manifest.json")
            folders.mark(path)
            _repair(path)
            undo.pop_all()
        run = cls(path, manifest, lock)
        run._record_lost_attempts()
        return run

    def _record_lost_attempts(self) -> None:
        """Record the attempts that a killed harness has made but not recorded."""
        listed = {event["name"] for event in self.events() if event["step"] == ATTEMPT}
        for name in sorted({folder.name for folder in self.evidence.iterdir()} - listed):
            self.record(ATTEMPT, "begin", name=name)

    def record(self, step: str, event: JournalEvent, **details: Any) -> None:
        """Append a line to the journal, and sync it to the disk."""
        line = json.dumps({"t": _now().isoformat(), "step": step, "event": event, **details})
        with files.explain_errors(self._journal):
            fd = files.open_private(self._journal, os.O_APPEND)
            size = os.fstat(fd).st_size
            try:
                files.write_all(fd, line.encode() + b"\n")
                os.fsync(fd)
            except OSError:
                os.ftruncate(fd, size)
                raise
            finally:
                os.close(fd)

    def events(self) -> list[dict[str, Any]]:
        """Return the lines of the journal in their order, without an incomplete last line."""
        if not self._journal.exists():
            return []
        with files.explain_errors(self._journal):
            whole = self._journal.read_bytes().rpartition(b"\n")[0]
            return [json.loads(line) for line in whole.splitlines()]

    def write(self, name: str, text: str) -> None:
        """Write a file of the run that is neither evidence nor log, such as clouds.yaml."""
        path = self.path / name
        with files.explain_errors(path.parent):
            folders.make(path.parent)
        files.write_atomically(path, text.encode())

    def write_node(self, document: NodeDocument) -> None:
        """Write ``node.json``; every attempt contains its digest."""
        text = document.model_dump_json(by_alias=True, indent=2)
        files.write_atomically(self._node, f"{text}\n".encode())

    def read_node(self) -> NodeDocument | None:
        """Return the content of ``node.json``; None if there is no such file yet.

        :raises UsageError: the file is damaged.
        """
        try:
            return NodeDocument.model_validate_json(self._node.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise UsageError(f"{self._node} is damaged: {error}", "start a new run") from error

    def read_split(self) -> Sequence[Sequence[str]]:
        """Return the ids of the tests of each worker of ``split.json``; empty without this file.

        :raises UsageError: the file is damaged.
        """
        path = self.path / SPLIT
        try:
            return read_workers(path)
        except FileNotFoundError:
            return ()
        except ValueError as error:
            raise UsageError(f"{path} is damaged: {error}", "start a new run") from error

    def write_inspection(self, moment: Literal["begin", "end"], inspection: Inspection) -> None:
        """Write an inspection of the node; the number counts how often the run began.

        A second inspection at the end replaces the first one.
        """
        folder = self.path / INSPECTIONS
        with files.explain_errors(folder):
            folders.make(folder)
            begun = len(list(folder.glob("*-begin.json")))
        number = begun + (moment == "begin")
        text = inspection.model_dump_json(by_alias=True, indent=2)
        files.write_atomically(folder / f"{number:02d}-{moment}.json", f"{text}\n".encode())

    def begin_attempt(
        self,
        kind: RunnerKind,
        form: Format,
        asked: bytes,
        *,
        side: str = "change",
        confirms: str = "",
        test_timeout: float | None = None,
    ) -> Attempt:
        """Make the directory of the next attempt with the list of its tests, and open its stream.

        ``asked`` is the content of asked.txt (a test id per line) or, for Rally, asked.json. For an
        attempt that runs failures again, ``confirms`` is the attempt in which they failed, and
        ``side`` is "change" or "base": with or without the change. ``test_timeout`` is the maximum
        number of seconds for each test, if the runner has such a limit.
        """
        taken = [int(folder.name.partition("-")[0]) for folder in self.evidence.iterdir()]
        purpose = f"confirm-{side}" if confirms else kind
        name = f"{max(taken, default=0) + 1:02d}-{purpose}"
        asked_name, stream_name = _FILES[form]
        head = {
            "schema": ATTEMPT_SCHEMA,
            **self._run_fields,
            "name": name,
            "kind": kind,
            "format": form,
            "asked": asked_name,
            "count": len(json.loads(asked)) if form == "rally" else asked.count(b"\n"),
            "stream": stream_name,
            "exit_status": None,
            "state": "running",
            "started": _now().isoformat(),
            "ended": None,
            "sha256": {asked_name: hashlib.sha256(asked).hexdigest(), stream_name: None},
            "problems": [],
            "side": side,
            "confirms": confirms,
            "test_timeout": test_timeout,
            "node": self._node_reference(),
            "mark": f"{self.manifest.run_id}/{name}",
        }
        # By rename: an attempt without attempt.json could be neither read nor repaired.
        made = self.path / "attempt.new"
        with files.explain_errors(made):
            folders.remove_tree(made, inside=self.path)
            folders.make(made)
            files.write_atomically(made / asked_name, asked)
            files.write_atomically(made / "attempt.json", _json(head))
            folder = made.rename(self.evidence / name)
        self.record(ATTEMPT, "begin", name=name)
        return Attempt(folder, head, Stream(folder / stream_name))

    def _node_reference(self) -> dict[str, str]:
        """Return the fields of an attempt about the node: the name, and the digest of node.json."""
        with files.explain_errors(self._node):
            content = self._node.read_bytes()
        name = NodeDocument.model_validate_json(content).name
        return {"name": name, "sha256": hashlib.sha256(content).hexdigest()}

    @property
    def _run_fields(self) -> dict[str, Any]:
        """The fields of an attempt that identify the run; the judge compares them."""
        fields = {"run_id", "change", "patchset", "changes"}
        return self.manifest.model_dump(mode="json", by_alias=True, include=fields)

    def close(self) -> None:
        """Unlock the directory. Closing it again is harmless."""
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _fill(path: Path, manifest: Manifest) -> None:
    for folder in ("logs", "cloud", "evidence", "report"):
        (path / folder).mkdir(mode=0o700)
    text = manifest.model_dump_json(by_alias=True, indent=2)
    files.write_atomically(path / "manifest.json", f"{text}\n".encode())


def _repair(path: Path) -> None:
    """Cut an incomplete line off the journal, and close attempts that are open."""
    journal = path / "journal.jsonl"
    if journal.exists():
        os.truncate(journal, journal.read_bytes().rfind(b"\n") + 1)
    for attempt in sorted(path.glob("evidence/*/attempt.json")):
        head = _read_head(attempt)
        if head["state"] == "running":
            stream = attempt.with_name(head["stream"])
            stream.touch(mode=0o600)
            with stream.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            _close_attempt(attempt.parent, head, digest, state="interrupted")


def _read_head(path: Path) -> dict[str, Any]:
    try:
        head: dict[str, Any] = json.loads(path.read_bytes())
        head["state"], head["stream"], head["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is damaged: {error}", "start a new run") from error
    return head


def _close_attempt(folder: Path, head: dict[str, Any], digest: str, **fields: Any) -> None:
    digests = {**head["sha256"], head["stream"]: digest}
    closed = {**head, **fields, "ended": _now().isoformat(), "sha256": digests}
    files.write_atomically(folder / "attempt.json", _json(closed))


def _take_lock(path: Path) -> BinaryIO:
    lock = path / "lock"
    fd = files.take_lock(lock)
    if fd is None:
        raise UsageError(
            f"the run {path} is in use by process {files.holder(lock) or 'unknown'}",
            "wait until the process ends, or stop it with Ctrl-C",
        )
    return os.fdopen(fd, "wb")


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, indent=2).encode() + b"\n"
