# SPDX-License-Identifier: Apache-2.0
"""Loads the evidence in a run directory.

Damaged or contradictory evidence becomes a problem, not an exception. Only a run directory without
a readable manifest is an error, because the run is then unknown. Links, and paths that lead out of
the folder of an attempt, are not followed.
"""

import hashlib
import re
import stat
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from itertools import islice
from pathlib import Path
from typing import Any

from bsdgate.results import strict_json
from bsdgate.results.attempts import (
    DOCUMENT_BOUND,
    HEAD_BOUND,
    UnreadableError,
    load_attempt,
    moment,
    open_plain,
)
from bsdgate.results.errors import EvidenceError
from bsdgate.results.model import (
    Attempt,
    Code,
    Evidence,
    Feature,
    Kind,
    Reason,
    Run,
    Source,
    error,
    note,
)
from bsdgate.results.policy import DEVELOPER, POLICIES, Policy

SCHEMAS = (1, 2)
EXPECTATIONS = "expectations"
"""The folder, in a run directory, with the known failures of ``--expectations``."""

FEATURE = ("option", "value", "reason")
ATTEMPTS_BOUND = 1000
CHANGED_BOUND = 500
_NUMBERED = re.compile(r"(\d{2,4})-[a-z0-9-]{1,100}")


def load(run_dir: Path) -> Evidence:
    """Read the manifest and all attempts in ``run_dir``; raise EvidenceError without a manifest."""
    manifest = _read_manifest(run_dir / "manifest.json")
    run, problems = _run(manifest)
    attempts: list[Attempt] = []
    names, lost = _names(run_dir / "evidence")
    lost += _check_journal(run_dir / "journal.jsonl", names)
    for name in names:
        try:
            if not _NUMBERED.fullmatch(name):
                raise UnreadableError("not the name of an attempt")
            attempts.append(load_attempt(run_dir / "evidence" / name, manifest))
        except UnreadableError as reason:
            problems.append(error(reason.code, f"evidence/{name}: {reason}"))
    owed, owed_problems = _owed(manifest)
    problems += _expectations(run_dir, manifest)[1]
    return Evidence(run, owed, tuple(attempts), (*problems, *lost, *_gaps(names), *owed_problems))


def run_of(run_dir: Path) -> Run:
    """Return the run of the manifest in ``run_dir``; raise EvidenceError without a manifest."""
    return _run(_read_manifest(run_dir / "manifest.json"))[0]


def expectations_of(run_dir: Path) -> list[Path]:
    """Return the files of known failures of the run that have the recorded SHA-256.

    Lost and changed files are among the problems of the evidence.
    """
    return _expectations(run_dir, _read_manifest(run_dir / "manifest.json"))[0]


def _expectations(run_dir: Path, manifest: Mapping[str, Any]) -> tuple[list[Path], list[Reason]]:
    recorded = manifest.get("expectations") or {}
    if not isinstance(recorded, dict):
        return [], [error(Code.DAMAGED, "manifest.json: expectations is not a mapping")]
    good: list[Path] = []
    problems: list[Reason] = []
    for name, digest in sorted(recorded.items()):
        path = run_dir / EXPECTATIONS / name
        try:
            if path.name != name:
                raise UnreadableError("not the name of a file")
            with open_plain(path, HEAD_BOUND) as file:
                same = hashlib.sha256(file.read()).hexdigest() == digest
        except UnreadableError as reason:
            problems.append(error(reason.code, f"{EXPECTATIONS}/{name}: {reason}"))
            continue
        if same:
            good.append(path)
        else:
            message = f"{EXPECTATIONS}/{name} is not what was recorded (sha256)"
            problems.append(error(Code.DIGEST_MISMATCH, message))
    return good, problems


def changed_files(run_dir: Path) -> tuple[str, ...]:
    """Return the files of the change under test, relative to its project, by the manifest."""
    found = _list(_read_manifest(run_dir / "manifest.json").get("changed_files"))
    return tuple(file for file in found[:CHANGED_BOUND] if isinstance(file, str))


def _names(folder: Path) -> tuple[list[str], list[Reason]]:
    """Return the names in the folder of the evidence, which must not be a link."""
    try:
        if not stat.S_ISDIR(folder.lstat().st_mode):
            return [], [error(Code.ATTEMPT_UNREADABLE, f"{folder.name} is not a folder")]
        names = sorted(entry.name for entry in islice(folder.iterdir(), ATTEMPTS_BOUND + 1))
        if len(names) > ATTEMPTS_BOUND:
            return [], [error(Code.TOO_LARGE, f"{folder.name} has over {ATTEMPTS_BOUND} attempts")]
        return names, []
    except FileNotFoundError:
        return [], []  # no attempts: the judge reports that
    except OSError as reason:
        return [], [error(Code.ATTEMPT_UNREADABLE, f"{folder.name}: {reason.strerror}")]


def _check_journal(path: Path, names: Collection[str]) -> list[Reason]:
    """Compare the attempts in the harness's journal with those that exist.

    The journal shows the loss of the last attempts, which leaves no gap in the numbers. A cut last
    line is ignored. A lost journal is an error, because attempts may be lost with it, as at the cut
    end of an archive. The journal also has the processes that had to be killed, and modifications
    of the base environment, which make the results of the base worthless.
    """
    try:
        with open_plain(path, DOCUMENT_BOUND) as file:
            lines = [strict_json.loads_object(line) for line in file if line.endswith(b"\n")]
        journalled = {str(line["name"]) for line in lines if line["step"] == "attempt"}
        left = [str(line["message"]) for line in lines if line["step"] == "left-behind"]
        altered = [str(line["message"]) for line in lines if line["step"] == "base-altered"]
    except UnreadableError as reason:
        # A run that has not begun to test has no journal.
        begun = names or reason.code is not Code.EVIDENCE_LOST
        return [error(reason.code, str(reason))] if begun else []
    except (ValueError, KeyError) as reason:
        return [error(Code.DAMAGED, f"{path.name}: {reason}")]
    lost = sorted(journalled.difference(names))
    extra = sorted(name for name in names if _NUMBERED.fullmatch(name) and name not in journalled)
    return [
        *(error(Code.EVIDENCE_LOST, f"evidence/ has no attempt {name}") for name in lost),
        *(error(Code.TRUNCATED, f"{path.name} has no attempt {name}") for name in extra),
        *(note(Code.LEFT_BEHIND, message) for message in left),
        *(error(Code.BASE_ALTERED, message) for message in altered),
    ]


def _read_manifest(path: Path) -> dict[str, Any]:
    hint = "give the run directory that `bsdgate run` printed"
    try:
        with open_plain(path, HEAD_BOUND) as file:
            manifest = strict_json.loads_object(file.read())
        if manifest.get("schema") not in SCHEMAS:
            raise ValueError(f"schema {manifest.get('schema')!r} is none of {SCHEMAS}")
        if not manifest.get("run_id") or moment(manifest.get("created")) is None:
            raise ValueError("run_id or created (ISO time with zone) is missing")
    except (UnreadableError, ValueError) as reason:
        raise EvidenceError(f"{path}: no manifest of a run: {reason}", hint) from None
    return manifest


def policy_of(run_dir: Path) -> Policy:
    """Return the policy that the manifest in ``run_dir`` names, or DEVELOPER if it names none.

    Raises EvidenceError without a manifest, and for an unknown policy.
    """
    path = run_dir / "manifest.json"
    name = _read_manifest(path).get("policy")
    if name is None:
        return DEVELOPER
    if not isinstance(name, str) or name not in POLICIES:
        hint = f"choose one with --policy: {', '.join(POLICIES)}"
        raise EvidenceError(f"{path}: there is no policy {name!r}", hint)
    return POLICIES[name]


def _run(manifest: Mapping[str, Any]) -> tuple[Run, list[Reason]]:
    problems: list[Reason] = []

    def text(key: str) -> str:
        value = manifest.get(key)
        return "" if value is None else str(value)

    def pairs(key: str) -> dict[str, str]:
        found = manifest.get(key) or {}
        if isinstance(found, dict) and all(isinstance(each, str) for each in found.values()):
            return dict(sorted(found.items()))
        message = f"manifest.json: {key} does not have a text for each name"
        problems.append(error(Code.DAMAGED, message))
        return {}

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
    assert created is not None  # checked by _read_manifest
    run = Run(
        run_id=str(manifest["run_id"]),
        created=created,
        name=text("name"),
        version=text("bsdgate_version"),
        profile=text("profile"),
        suite=text("suite"),
        release=text("release"),
        selection=text("selection"),
        change=text("change"),
        patchset=text("patchset"),
        sources=tuple(_source(source) for source in _list(manifest.get("with"))),
        facts=pairs("facts"),
        versions=pairs("versions"),
        features=features(),
    )
    return run, problems


def _list(value: Any) -> list[Any]:
    """Return ``value`` if it is a list, else a list of it, empty if it is."""
    return value if isinstance(value, list) else [value] if value else []


def _source(source: Any) -> Source:
    if not isinstance(source, Mapping):
        return Source(str(source))
    return Source(**{field.name: str(source.get(field.name) or "") for field in fields(Source)})


def _owed(manifest: Mapping[str, Any]) -> tuple[frozenset[Kind], list[Reason]]:
    """Return the kinds of evidence that the manifest promises, so that a loss is seen."""
    promised = manifest.get("evidence")
    try:
        if isinstance(promised, list) and promised:
            return frozenset(Kind(kind) for kind in promised), []
    except ValueError as reason:
        message = f"manifest.json: evidence: {reason}"
        return frozenset(), [error(Code.NO_EVIDENCE, message)]
    message = "manifest.json does not list the kinds of evidence to expect (evidence: [kinds])"
    return frozenset(), [error(Code.NO_EVIDENCE, message)]


def _gaps(names: Sequence[str]) -> list[Reason]:
    """Find lost attempts: they are numbered from 01 without gaps."""
    numbers = {int(match[1]) for name in names if (match := _NUMBERED.fullmatch(name))}
    lost = [number for number in range(1, max(numbers, default=0)) if number not in numbers]
    if not lost:
        return []
    listed = ", ".join(f"{number:02}" for number in lost)
    return [error(Code.EVIDENCE_LOST, f"evidence/ has no attempt with the number {listed}")]
