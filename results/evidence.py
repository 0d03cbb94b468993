# SPDX-License-Identifier: Apache-2.0
"""Loads a run directory's evidence. What cannot be believed becomes a problem, not a crash.

Only a run directory without a readable manifest is an error: nothing says which run it is.
Nothing here follows a link or a path that leads out of the attempt's own folder.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bsdgate.results import strict_json
from bsdgate.results.attempts import HEAD_BOUND, UnreadableError, load_attempt, moment, open_plain
from bsdgate.results.errors import EvidenceError
from bsdgate.results.model import Attempt, Code, Evidence, Kind, Reason, Run, error

SCHEMA = 1
_NUMBERED = re.compile(r"(\d{2,})-[a-z0-9-]+")


def load(run_dir: Path) -> Evidence:
    """Read the manifest and all attempts in ``run_dir``; EvidenceError without a manifest."""
    manifest = _read_manifest(run_dir / "manifest.json")
    run = _run(manifest)
    attempts: list[Attempt] = []
    problems: list[Reason] = []
    folder = run_dir / "evidence"
    names = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
    for name in names:
        try:
            attempts.append(load_attempt(folder / name, run.run_id))
        except UnreadableError as reason:
            problems.append(error(reason.code, f"evidence/{name}: {reason}"))
    problems += _gaps(names)
    owed, unsaid = _owed(manifest)
    return Evidence(run, owed, tuple(attempts), (*problems, *unsaid))


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


def _run(manifest: Mapping[str, Any]) -> Run:
    def text(key: str) -> str:
        value = manifest.get(key)
        return "" if value is None else str(value)

    created = moment(manifest["created"])
    assert created is not None  # _read_manifest has looked
    change = ",".join(filter(None, [text("change"), text("patchset")]))
    return Run(
        run_id=str(manifest["run_id"]),
        created=created,
        name=text("name"),
        version=text("bsdgate_version"),
        profile=text("profile"),
        suite=text("suite"),
        release=text("release"),
        selection=text("selection"),
        change=change,
        sources=tuple(_source(source) for source in manifest.get("with") or ()),
    )


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
    lost = sorted(set(range(1, max(numbers, default=0) + 1)) - numbers)
    if not lost:
        return []
    listed = ", ".join(f"{number:02}" for number in lost)
    return [error(Code.EVIDENCE_LOST, f"evidence/ has no attempt with the number {listed}")]
