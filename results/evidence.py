# SPDX-License-Identifier: Apache-2.0
"""Loads evidence: a run directory's, or files from elsewhere.

What cannot be believed becomes a problem, not a crash. Only a run directory without a readable
manifest is an error, for nothing says which run it is, and a file that was named and is not there.
Nothing here follows a link or a path that leads out of the attempt's own folder.
"""

import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from bsdgate.results import strict_json
from bsdgate.results.attempts import (
    CHUNK,
    DOCUMENT_BOUND,
    HEAD_BOUND,
    STREAM_BOUND,
    Tee,
    UnreadableError,
    gather,
    load_attempt,
    moment,
    open_plain,
)
from bsdgate.results.errors import EvidenceError
from bsdgate.results.ids import read_ids, synthetic
from bsdgate.results.model import (
    Attempt,
    Case,
    Code,
    Evidence,
    Feature,
    Found,
    Kind,
    Reason,
    Run,
    State,
    Timing,
    error,
)
from bsdgate.results.parsers import junit as junit_parser
from bsdgate.results.parsers import rally as rally_parser
from bsdgate.results.parsers import subunit as subunit_parser
from bsdgate.results.parsers import verification as verification_parser

SCHEMA = 1
FEATURE = ("option", "value", "reason")
ATTEMPTS_BOUND = 1000
CHANGED_BOUND = 500
_NUMBERED = re.compile(r"(\d{2,4})-[a-z0-9-]{1,100}")


def load(run_dir: Path) -> Evidence:
    """Read the manifest and all attempts in ``run_dir``; EvidenceError without a manifest."""
    manifest = _read_manifest(run_dir / "manifest.json")
    run, problems = _run(manifest)
    attempts: list[Attempt] = []
    names, lost = _names(run_dir / "evidence")
    lost += _journalled(run_dir / "journal.jsonl", names)
    for name in names:
        try:
            if not _NUMBERED.fullmatch(name):
                raise UnreadableError("not the name of an attempt")
            attempts.append(load_attempt(run_dir / "evidence" / name, manifest))
        except UnreadableError as reason:
            problems.append(error(reason.code, f"evidence/{name}: {reason}"))
    owed, unsaid = _owed(manifest)
    return Evidence(run, owed, tuple(attempts), (*problems, *lost, *_gaps(names), *unsaid))


def changed_files(run_dir: Path) -> tuple[str, ...]:
    """The files of the change under test, relative to its project, as far as the manifest says."""
    found = _list(_read_manifest(run_dir / "manifest.json").get("changed_files"))
    return tuple(file for file in found[:CHANGED_BOUND] if isinstance(file, str))


def _names(folder: Path) -> tuple[list[str], list[Reason]]:
    """What is in the folder of the evidence, which must not be elsewhere."""
    try:
        if not stat.S_ISDIR(folder.lstat().st_mode):
            return [], [error(Code.ATTEMPT_UNREADABLE, f"{folder.name} is not a folder")]
        names = sorted(entry.name for entry in islice(folder.iterdir(), ATTEMPTS_BOUND + 1))
        if len(names) > ATTEMPTS_BOUND:
            return [], [error(Code.TOO_LARGE, f"{folder.name} has over {ATTEMPTS_BOUND} attempts")]
        return names, []
    except FileNotFoundError:
        return [], []  # no attempts, which the judge will say
    except OSError as reason:
        return [], [error(Code.ATTEMPT_UNREADABLE, f"{folder.name}: {reason.strerror}")]


def _journalled(path: Path, names: Collection[str]) -> list[Reason]:
    """Attempts that the harness's journal tells of and that are not there.

    The last of several leaves no gap in their numbers. A last line that was cut never happened.
    """
    if not path.exists():
        return []
    try:
        with open_plain(path, DOCUMENT_BOUND) as file:
            lines = [strict_json.loads_object(line) for line in file if line.endswith(b"\n")]
        begun = {str(line["name"]) for line in lines if line["step"] == "attempt"}
    except (UnreadableError, ValueError, KeyError) as reason:
        return [error(Code.DAMAGED, f"{path.name}: {reason}")]
    lost = sorted(begun.difference(names))
    return [error(Code.EVIDENCE_LOST, f"evidence/ has no attempt {name}") for name in lost]


def _read_manifest(path: Path) -> dict[str, Any]:
    hint = "give the directory of a run, as `bsdgate run` prints it"
    try:
        with open_plain(path, HEAD_BOUND) as file:
            manifest = strict_json.loads_object(file.read())
        if manifest.get("schema") != SCHEMA:
            raise ValueError(f"schema {manifest.get('schema')!r} is not {SCHEMA}")
        if not manifest.get("run_id") or moment(manifest.get("created")) is None:
            raise ValueError("run_id or created (ISO time with zone) is missing")
    except (UnreadableError, ValueError) as reason:
        raise EvidenceError(f"{path}: no manifest of a run: {reason}", hint) from None
    return manifest


def _run(manifest: Mapping[str, Any]) -> tuple[Run, list[Reason]]:
    problems: list[Reason] = []

    def text(key: str) -> str:
        value = manifest.get(key)
        return "" if value is None else str(value)

    def pairs(key: str) -> tuple[tuple[str, str], ...]:
        found = manifest.get(key) or {}
        if isinstance(found, dict) and all(isinstance(each, str) for each in found.values()):
            return tuple(sorted(found.items()))
        message = f"manifest.json: {key} does not give a text for each of its names"
        problems.append(error(Code.DAMAGED, message))
        return ()

    def features() -> tuple[Feature, ...]:
        found = manifest.get("features") or []
        try:
            said = [Feature(**{key: str(one[key]) for key in FEATURE}) for one in found]
            return tuple(sorted(said, key=lambda one: one.option))
        except (TypeError, KeyError, IndexError):
            message = "manifest.json: features do not each have option, value and reason"
            problems.append(error(Code.DAMAGED, message))
            return ()

    created = moment(manifest["created"])
    assert created is not None  # _read_manifest has looked
    change = ",".join(filter(None, [text("change"), text("patchset")]))
    run = Run(
        run_id=str(manifest["run_id"]),
        created=created,
        name=text("name"),
        version=text("bsdgate_version"),
        profile=text("profile"),
        suite=text("suite"),
        release=text("release"),
        selection=text("selection"),
        change=change,
        sources=tuple(_source(source) for source in _list(manifest.get("with"))),
        facts=pairs("facts"),
        versions=pairs("versions"),
        features=features(),
    )
    return run, problems


def _list(value: Any) -> list[Any]:
    """What should be a list, and is one whatever it was."""
    return value if isinstance(value, list) else [value] if value else []


def _source(source: Any) -> str:
    if not isinstance(source, Mapping):
        return str(source)
    parts = (source.get(key) for key in ("project", "version", "source", "identity"))
    return " ".join(str(part) for part in parts if part)


def _owed(manifest: Mapping[str, Any]) -> tuple[frozenset[Kind], list[Reason]]:
    """The kinds of evidence that the run promised; without that, lost evidence goes unseen."""
    promised = manifest.get("evidence")
    try:
        if isinstance(promised, list) and promised:
            return frozenset(Kind(kind) for kind in promised), []
    except ValueError as reason:
        message = f"manifest.json: evidence: {reason}"
        return frozenset(), [error(Code.NO_EVIDENCE, message)]
    message = "manifest.json does not say what evidence the run owes (evidence: [kinds])"
    return frozenset(), [error(Code.NO_EVIDENCE, message)]


def _gaps(names: Sequence[str]) -> list[Reason]:
    """Attempts are numbered from 01 without gaps: a number that is not there was lost."""
    numbers = {int(match[1]) for name in names if (match := _NUMBERED.fullmatch(name))}
    lost = [number for number in range(1, max(numbers, default=0)) if number not in numbers]
    if not lost:
        return []
    listed = ", ".join(f"{number:02}" for number in lost)
    return [error(Code.EVIDENCE_LOST, f"evidence/ has no attempt with the number {listed}")]


# Files from elsewhere ----------------------------------------------------------------------

_SUFFIX = re.compile(r"\[id-[^\]]*\]")
WORKLOADS_BOUND = 10_000
"""Workloads of one Rally task; a file of YAML can name itself without end."""


def load_files(
    asked: Path | None = None,
    *,
    subunit: Sequence[Path] = (),
    junit: Sequence[Path] = (),
    rally: Sequence[Path] = (),
    rally_task: Sequence[Path] = (),
) -> Evidence:
    """Read files that no harness of ours recorded: without digests, seal and exit status.

    ``asked`` has one test id a line; where none of them has ``[id-...]``, the reports' are read
    without it. All subunit and JUnit files and Rally's reports of verifications are one account,
    so that a test in two of them is duplicated. Each of Rally's other reports goes with the task
    in the same place. The run is named after what the files hold, and created when the newest was
    written.

    Raises EvidenceError for a file that cannot be read, or a list or task that is none.
    """
    files = _Files()
    attempts = []
    verified = [path for path in rally if _is_verification(path)]
    tasks = [path for path in rally if path not in verified]
    if asked or subunit or junit or verified:
        attempts.append(_found_tests(files, asked, subunit, junit, verified))
    if tasks or rally_task:
        attempts.append(_found_workloads(files, tasks, rally_task))
    return Evidence(files.run(), frozenset(), tuple(attempts))


_LIST = "a list has one test id a line, as `tempest run --list-tests` prints them"
_TASK = "give what `rally task start` was given, in YAML or JSON, without a template's marks"
_HINTS = {
    Code.ATTEMPT_UNREADABLE: "give a plain file that you may read: itself, not a link to it",
    Code.EVIDENCE_LOST: "give the path of a file that is there",
    Code.TOO_LARGE: "nothing of its kind is so large: is it the right file?",
}


class _Files:
    """Opens files, and remembers what they were."""

    def __init__(self) -> None:
        self._digests: list[str] = []
        self._newest = 0.0

    @contextmanager
    def open(self, path: Path, bound: int, form: str | None = None) -> Iterator[BinaryIO]:
        """Open a file, which is read to its end; a ValueError is that of its content.

        ``form`` tells whoever gives a file of another form what it has to be.
        """
        try:
            with open_plain(path, bound) as file:
                tee = Tee(file)
                yield tee
                while tee.read(CHUNK):
                    pass
                self._newest = max(self._newest, os.fstat(file.fileno()).st_mtime)
        except UnreadableError as reason:
            raise EvidenceError(f"{path}: {reason}", _HINTS.get(reason.code)) from None
        except ValueError as reason:
            raise EvidenceError(f"{path}: {reason}", form) from None
        self._digests.append(tee.digest.hexdigest())

    def run(self) -> Run:
        """The run that the files are taken for."""
        identity = hashlib.sha256("".join(sorted(self._digests)).encode()).hexdigest()[:32]
        return Run(identity, datetime.fromtimestamp(self._newest, UTC), name="files")


def _is_verification(report: Path) -> bool:
    """Whether a report of Rally's is about tests; what is wrong with it is told when it is read."""
    try:
        with open_plain(report, DOCUMENT_BOUND) as file:
            return verification_parser.begins(file.read(HEAD_BOUND))
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
    found = chain(
        _told(files, subunit, STREAM_BOUND, lambda file: subunit_parser.parse(file, None)),
        _told(files, junit, DOCUMENT_BOUND, lambda file: junit_parser.parse(file, ids or ())),
        _told(files, verified, DOCUMENT_BOUND, verification_parser.parse),
    )
    if ids is not None and not any(map(_SUFFIX.search, ids)):
        found = chain(map(_without_suffix, found))
    kind = Kind.TEMPEST if subunit or verified or not junit else Kind.HOSTCHECKS
    return _found("tests", kind, ids, found)


def _found_workloads(files: _Files, reports: Sequence[Path], tasks: Sequence[Path]) -> Attempt:
    if tasks and len(tasks) != len(reports):
        message = f"{len(tasks)} Rally tasks for {len(reports)} reports of Rally tasks"
        hint = "give each its own, in the same order; a verification's report goes with --asked"
        raise EvidenceError(message, hint)
    asked: list[rally_parser.Asked] = []
    for task in tasks:
        with files.open(task, HEAD_BOUND, _TASK) as file:
            asked.append(_read_task(file.read()))
    found = chain.from_iterable(
        _told(files, [path], DOCUMENT_BOUND, partial(rally_parser.parse, asked=of))
        for path, of in zip(reports, asked or [{}] * len(reports), strict=True)
    )
    return _found("rally", Kind.RALLY, tuple(chain.from_iterable(asked)) if tasks else None, found)


def _found(name: str, kind: Kind, ids: tuple[str, ...] | None, found: Iterable[Found]) -> Attempt:
    """Make an attempt of what was found; without a list, what reported is what was asked."""
    problems: list[Reason] = []
    timings: list[Timing] = []
    reports = gather(found, ids, problems, timings)
    if ids is None:
        ids = tuple(sorted({one for one in reports.ids if not synthetic(one)}))
        message = "without a list of what was asked, nobody can tell whether anything is missing"
        problems.append(error(Code.NO_LIST, message))
    return Attempt(
        name,
        kind,
        State.FOUND,
        None,
        ids,
        reports,
        tuple(problems),
        timings=tuple(timings),
    )


def _told(
    files: _Files,
    paths: Sequence[Path],
    bound: int,
    parse: Callable[[BinaryIO], Iterator[Found]],
) -> Iterator[Found]:
    for path in paths:
        with files.open(path, bound) as file:
            for one in parse(file):
                if isinstance(one, Reason):
                    yield replace(one, message=f"{path.name}: {one.message}")
                else:
                    yield one


def _without_suffix(found: Found) -> Found:
    return replace(found, id=_SUFFIX.sub("", found.id)) if isinstance(found, Case) else found


def _read_task(content: bytes) -> rally_parser.Asked:
    """The workloads of a Rally task in either version of its format, or of our asked.json."""
    try:
        task = yaml.safe_load(content.decode("utf-8"))
        entries = task if isinstance(task, list) else [*islice(_workloads(task), WORKLOADS_BOUND)]
        return rally_parser.read_asked(_bounded_json(entries))
    except (yaml.YAMLError, RecursionError) as reason:
        said = " ".join(str(reason).split())
        raise ValueError(f"no Rally task (a template must be filled in first): {said}") from None
    except (KeyError, TypeError, AttributeError) as reason:
        raise ValueError(f"no Rally task: {type(reason).__name__}: {reason}") from None


def _bounded_json(value: Any) -> bytes:
    """As JSON; ValueError if it is far larger than its file was: YAML can repeat what it names."""
    pieces, room = [], HEAD_BOUND
    for piece in json.JSONEncoder().iterencode(value):
        room -= len(piece)
        if room < 0:
            raise ValueError(f"it unfolds to more than {HEAD_BOUND} characters")
        pieces.append(piece)
    return "".join(pieces).encode()


def _workloads(task: Any) -> Iterator[dict[str, Any]]:
    if "subtasks" in task:
        for subtask in task["subtasks"]:
            for workload in subtask.get("workloads") or [subtask]:
                [(kind, load)] = workload.get("runner", {"serial": {}}).items()
                [name] = workload["scenario"]
                yield _workload(name, kind, load)
        return
    for name, entries in task.items():
        for entry in entries if isinstance(entries, list) else [entries]:
            load = entry.get("runner", {})
            yield _workload(name, load.get("type", "serial"), load)


def _workload(name: str, kind: str, load: Mapping[str, Any]) -> dict[str, Any]:
    # Of Rally's runners these count iterations, one if nothing is said; others count seconds.
    counts = kind in ("constant", "serial", "rps")
    return {"name": name, "iterations": load.get("times", 1) if counts else None}
