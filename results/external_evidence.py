# SPDX-License-Identifier: Apache-2.0
"""Loads evidence from elsewhere: reports of test runners that bsdgate did not record.

A damaged or contradictory report gives a problem, not an exception. EvidenceError is raised only if
a file cannot be opened, or if a list of tests or a Rally task is invalid.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from io import BufferedReader
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, cast

import yaml

from bsdgate.results import model
from bsdgate.results.attempts import (
    DOCUMENT_BOUND,
    HEAD_BOUND,
    STREAM_BOUND,
    UnreadableError,
    gather,
    open_plain,
)
from bsdgate.results.errors import EvidenceError
from bsdgate.results.ids import read_ids, synthetic, without_attributes
from bsdgate.results.model import Attempt, Case, Code, Evidence, Found, Reason, error, note
from bsdgate.results.parsers import junit as junit_parser
from bsdgate.results.parsers import rally as rally_parser
from bsdgate.results.parsers import subunit as subunit_parser
from bsdgate.results.parsers import verification as verification_parser
from bsdgate.results.parsers.compressed import Reader

_Parse = Callable[[BinaryIO], Iterator[Found | model.Dated]]

WORKLOADS_BOUND = 10_000
"""The maximum number of workloads of a Rally task: YAML aliases can repeat them without end."""


def load_files(
    asked: Path | None = None,
    *,
    subunit: Sequence[Path] = (),
    junit: Sequence[Path] = (),
    rally: Sequence[Path] = (),
    rally_task: Sequence[Path] = (),
) -> Evidence:
    """Return the evidence in files that bsdgate did not record.

    Such files have no recorded digest or exit status, and need no seal (bsdgate's last packet).
    ``asked`` has one test id per line. If no id in it has Tempest's attributes
    (``[compute,id-<uuid>,smoke]``), they are removed from the ids in the reports. A test in two
    subunit, JUnit or Rally verification files is duplicated. Each Rally task report belongs to the
    task at the same position. Reports may be compressed with gzip. The run id is a digest of the
    files. The run's time is the latest start of a test in the reports; if they have no times, it
    is the time at which the newest file was written, and a note reports this.

    Raises EvidenceError if a file cannot be read, or if a list or task is invalid.
    """
    files = _Files()
    attempts = []
    verified = [path for path in rally if _is_verification(path)]
    tasks = [path for path in rally if path not in verified]
    if asked or subunit or junit or verified:
        attempts.append(_found_tests(files, asked, subunit, junit, verified))
    if tasks or rally_task:
        attempts.append(_found_workloads(files, tasks, rally_task))
    run_id = hashlib.sha256("".join(sorted(files.digests)).encode()).hexdigest()[:32]
    written = datetime.fromtimestamp(files.written, UTC)
    message = (
        "no report has the times of its tests: known failures are judged by the day on which the"
        f" newest file was written, {written.date()}"
    )
    problems = () if files.latest else (note(Code.UNDATED, message),)
    run = model.Run(run_id, files.latest or written, name="files")
    return Evidence(run, frozenset(), tuple(attempts), problems)


_LIST = "a list has one test id per line, like the output of `tempest run --list-tests`"
_TASK = "give the task file of `rally task start`, YAML or JSON, with its template rendered"
_HINTS = {
    Code.ATTEMPT_UNREADABLE: "give a regular file that you can read, not a symbolic link",
    Code.EVIDENCE_LOST: "give the path of an existing file",
    Code.TOO_LARGE: "no such file is expected to be so large: is it the right file?",
}


class _Files:
    """Reads files; keeps their digests, the time of the newest file, and the latest time in them.

    The latest time is used, because the clock of one machine may be slow.
    """

    def __init__(self) -> None:
        self.digests: list[str] = []
        self.written = 0.0
        self.latest: datetime | None = None

    @contextmanager
    def open(self, path: Path, bound: int, form: str | None = None) -> Iterator[BinaryIO]:
        """Open a file; raise EvidenceError if it cannot be opened or its content is invalid.

        ``form`` describes the expected format; it is the hint of the error about invalid content.
        """
        try:
            with open_plain(path, bound) as file:
                self.digests.append(
                    hashlib.file_digest(cast("BufferedReader", file), "sha256").hexdigest()
                )
                self.written = max(self.written, os.fstat(file.fileno()).st_mtime)
                file.seek(0)
                yield file
        except UnreadableError as reason:
            raise EvidenceError(f"{path}: {reason}", _HINTS.get(reason.code)) from None
        except ValueError as reason:
            raise EvidenceError(f"{path}: {reason}", form) from None

    def read(self, paths: Iterable[Path], bound: int, parse: _Parse) -> Iterator[Found]:
        """Yield what the parser finds in the files; a problem begins with the name of its file."""
        for path in paths:
            with self.open(path, bound) as file:
                unpacked = Reader(file, bound)
                for one in chain(parse(unpacked), unpacked.problems()):
                    self._date(one)
                    if isinstance(one, Reason):
                        yield replace(one, message=f"{path.name}: {one.message}")
                    elif not isinstance(one, model.Dated):
                        yield one

    def _date(self, found: Found | model.Dated) -> None:
        moment = found.moment if isinstance(found, model.Dated) else getattr(found, "started", None)
        if moment is not None:
            self.latest = max(moment, self.latest or moment)


def _is_verification(report: Path) -> bool:
    """Return whether this is a Rally verification report; False if it cannot be read."""
    try:
        with open_plain(report, DOCUMENT_BOUND) as file:
            head = Reader(file, DOCUMENT_BOUND).read(HEAD_BOUND)
            return verification_parser.begins(head)
    except UnreadableError:
        return False


def _found_tests(
    files: _Files,
    asked: Path | None,
    subunit: Sequence[Path],
    junit: Sequence[Path],
    verified: Sequence[Path],
) -> Attempt:
    ids: tuple[str, ...] | None = None
    if asked is not None:
        with files.open(asked, DOCUMENT_BOUND, _LIST) as file:
            ids = read_ids(file)
    found: Iterator[Found] = chain(
        files.read(subunit, STREAM_BOUND, partial(subunit_parser.parse, owner=None)),
        files.read(junit, DOCUMENT_BOUND, partial(junit_parser.parse, asked=ids or ())),
        files.read(verified, DOCUMENT_BOUND, verification_parser.parse),
    )
    if ids is not None and all(each == without_attributes(each) for each in ids):
        found = map(_without_attributes, found)
    kind = model.Kind.TEMPEST if subunit or verified or not junit else model.Kind.HOSTCHECKS
    return _found("tests", kind, ids, found)


def _found_workloads(files: _Files, reports: Sequence[Path], tasks: Sequence[Path]) -> Attempt:
    if tasks and len(tasks) != len(reports):
        message = f"there are {len(tasks)} Rally tasks for {len(reports)} Rally task reports"
        hint = "give one task per report, in the same order; use --asked for a verification report"
        raise EvidenceError(message, hint)
    asked: list[rally_parser.Asked] = []
    for task in tasks:
        with files.open(task, HEAD_BOUND, _TASK) as file:
            asked.append(_read_task(file.read()))
    found = chain.from_iterable(
        files.read([report], DOCUMENT_BOUND, partial(rally_parser.parse, asked=of))
        for report, of in zip(reports, asked or [{}] * len(reports), strict=True)
    )
    return _found(
        "rally", model.Kind.RALLY, tuple(chain.from_iterable(asked)) if tasks else None, found
    )


def _found(
    name: str, kind: model.Kind, ids: tuple[str, ...] | None, found: Iterable[Found]
) -> Attempt:
    """Make an attempt of what the parsers found; without ``ids``, it has the reported tests."""
    problems: list[Reason] = []
    timings: list[model.Timing] = []
    reports = gather(found, ids, problems, timings)
    if ids is None:
        ids = tuple(sorted({one.id for one in reports if not synthetic(one.id)}))
        message = "there is no list of requested tests, so missing tests cannot be detected"
        problems.append(error(Code.NO_LIST, message))
    return Attempt(
        name, kind, model.State.FOUND, None, ids, reports, tuple(problems), timings=tuple(timings)
    )


def _without_attributes(found: Found) -> Found:
    return replace(found, id=without_attributes(found.id)) if isinstance(found, Case) else found


def _read_task(content: bytes) -> rally_parser.Asked:
    """Read the workloads of a Rally task, in version 1 or 2 of its format, or of asked.json."""
    try:
        task = yaml.safe_load(content)
        entries = task if isinstance(task, list) else _workloads(task)
        return rally_parser.workloads(islice(entries, WORKLOADS_BOUND))
    except (yaml.YAMLError, RecursionError, KeyError, TypeError, AttributeError) as reason:
        text = " ".join(f"{type(reason).__name__}: {reason}".split())
        raise ValueError(f"not a Rally task (render its template first): {text}") from None


def _workloads(task: Any) -> Iterator[dict[str, Any]]:
    if "subtasks" in task:
        for subtask in task["subtasks"]:
            for workload in subtask.get("workloads") or [subtask]:
                [(kind, load)] = workload.get("runner", {"serial": {}}).items()
                [name] = workload["scenario"]
                yield _workload(name, kind, load, workload.get("hooks") or [])
        return
    for name, entries in task.items():
        for entry in entries if isinstance(entries, list) else [entries]:
            load = entry.get("runner", {})
            hooks = [
                {
                    "action": {hook["name"]: hook["args"]},
                    "trigger": {hook["trigger"]["name"]: hook["trigger"]["args"]},
                }
                for hook in entry.get("hooks") or ()
            ]
            yield _workload(name, load.get("type", "serial"), load, hooks)


def _workload(name: str, kind: str, load: Mapping[str, Any], hooks: Any) -> dict[str, Any]:
    # These runners of Rally count iterations (1 by default); the others count seconds.
    counts = kind in ("constant", "serial", "rps")
    iterations = load.get("times", 1) if counts else None
    return {"name": name, "iterations": iterations, "hooks": hooks}
