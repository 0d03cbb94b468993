# SPDX-License-Identifier: Apache-2.0
"""Loads the evidence in a run directory: the manifest, and the records of the harness.

Damaged or contradictory evidence becomes a problem, not an exception. Only a manifest that is lost
or unreadable raises EvidenceError, because the run is then unknown. Links, and paths that lead out
of the folder of an attempt, are not followed.
"""

import hashlib
import re
import stat
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from bsdgate.results import inspections, strict_json
from bsdgate.results.attempts import (
    DOCUMENT_BOUND,
    HEAD_BOUND,
    FileName,
    NodeRef,
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
    Kind,
    Level,
    Reason,
    Run,
    Source,
    State,
    error,
    note,
)
from bsdgate.results.policy import DEVELOPER, POLICIES, Policy
from bsdgate.results.problems import FOUND_CODES

SCHEMAS = (1, 2, 3)
NODE_SCHEMA = 3
"""The first schema of a manifest that requires ``node.json`` in the run directory."""
JOURNAL = "journal.jsonl"
NODE = "node.json"
"""The document of the node, in a run directory: its facts, and the installed versions."""
INSPECTED_SCHEMA = 2
"""The first schema of ``node.json`` of a run that inspects its node before and after the tests."""
EXPECTATIONS = "expectations"
"""The folder, in a run directory, with the known failures of ``--expectations``."""

ATTEMPTS_BOUND = 1000
CHANGED_BOUND = 500
# The fields of Run that have another name in a manifest.
_NAMES = {"bsdgate_version": "version", "with": "sources"}
_CODES = {"evidence": Code.NO_EVIDENCE}
_NUMBERED = re.compile(r"(\d{2,4})-[a-z0-9-]{1,100}")


@dataclass(frozen=True)
class _Manifest(Run):
    """The fields that are read from manifest.json: the fields of Run, and others for the judge."""

    evidence: frozenset[Kind] = frozenset()
    """The kinds of attempts that the run must have; a lost kind is an error."""
    expectations: Mapping[FileName, str] = field(default_factory=dict)
    """The SHA-256 of each file in the folder EXPECTATIONS, by name."""
    changed_files: tuple[str, ...] = ()
    """The files that the change under test modifies, relative to its project."""
    policy: Any = None
    """The name of the policy; None if the manifest has none."""
    content: Mapping[str, Any] = field(default_factory=dict)
    """The whole document."""
    node: NodeRef | None = None
    """The node of the run; None before schema 3, or if its document cannot be used."""
    inspected: bool = False
    """Whether the run inspects its node before and after the tests."""
    cloud: Mapping[str, Any] | None = None
    """The cloud that is not bsdgate's own, if the run was against one."""

    @property
    def run(self) -> Run:
        """The fields of Run only; mappings and features are sorted."""
        run = Run(**{each.name: getattr(self, each.name) for each in fields(Run)})
        features = tuple(sorted(self.features, key=lambda one: one.option))
        facts, versions = (dict(sorted(each.items())) for each in (self.facts, self.versions))
        return replace(run, facts=facts, versions=versions, features=features)


class _NodeDocument(BaseModel):
    """The fields that are read from node.json."""

    schema_version: Annotated[int, Field(alias="schema", ge=1, le=INSPECTED_SCHEMA)]
    run_id: str
    name: str
    facts: dict[str, str]
    versions: dict[str, str]
    sources: tuple[Source, ...] = Field(alias="with")


_DEPLOYMENT = frozenset({"deploy", "close"})
_CLOSED = ("close", "end")
_PROVISIONED = ("provision", "end")
_CHECKS = frozenset({"close", "matrix", "node"})
"""The steps in the journal that have findings."""


def load(run_dir: Path, *, in_progress: bool = False) -> Evidence:
    """Read the manifest and all attempts in ``run_dir``; raise EvidenceError without a manifest.

    A run that is ``in_progress`` has not inspected its node after the tests yet.
    """
    manifest, problems = _read_manifest(run_dir)
    attempts: list[Attempt] = []
    names, lost = _names(run_dir / "evidence")
    lines, unread = _read_journal(run_dir / JOURNAL, names)
    lost += unread or _check_journal(lines, names, audited=manifest.cloud is not None)
    for name in names:
        try:
            if not _NUMBERED.fullmatch(name):
                raise UnreadableError("not the name of an attempt, such as 01-tempest")
            attempts.append(
                load_attempt(run_dir / "evidence" / name, manifest.content, manifest.node)
            )
        except UnreadableError as reason:
            problems.append(error(reason.code, f"evidence/{name}: {reason}"))
    if not manifest.evidence and not any(one.code is Code.NO_EVIDENCE for one in problems):
        message = "manifest.json does not list the kinds of attempts to expect (evidence: [kinds])"
        problems.append(error(Code.NO_EVIDENCE, message))
    if manifest.inspected:
        problems += _check_node(run_dir, manifest, lines, attempts, in_progress=in_progress)
    known, changed = _expectations(run_dir, manifest)
    problems += [*changed, *lost, *_gaps(names)]
    return Evidence(manifest.run, manifest.evidence, tuple(attempts), tuple(problems), known)


def run_of(run_dir: Path) -> Run:
    """Return the run that the manifest describes; raise EvidenceError without a manifest."""
    return _read_manifest(run_dir)[0].run


def _expectations(run_dir: Path, manifest: _Manifest) -> tuple[tuple[Path, ...], list[Reason]]:
    """Return the run's files of known failures with the recorded SHA-256, and the problems."""
    good: list[Path] = []
    problems: list[Reason] = []
    for name, digest in sorted(manifest.expectations.items()):
        path = run_dir / EXPECTATIONS / name
        try:
            with open_plain(path, HEAD_BOUND) as file:
                if hashlib.sha256(file.read()).hexdigest() != digest:
                    raise UnreadableError("does not have the recorded sha256", Code.DIGEST_MISMATCH)
            good.append(path)
        except UnreadableError as reason:
            problems.append(error(reason.code, f"{EXPECTATIONS}/{name}: {reason}"))
    return tuple(good), problems


def changed_files(run_dir: Path) -> tuple[str, ...]:
    """Return the files that the change modifies, relative to its project, by the manifest."""
    return _read_manifest(run_dir)[0].changed_files[:CHANGED_BOUND]


def _names(folder: Path) -> tuple[list[str], list[Reason]]:
    """Return the names in the evidence folder, which must not be a link, and the problems."""
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


def _read_journal(path: Path, names: Collection[str]) -> tuple[list[dict[str, Any]], list[Reason]]:
    """Return the lines of the harness's journal, or the problem if they cannot be used.

    ``names`` are the existing attempts. A run that has not begun to test has no journal. An
    incomplete last line is ignored. A lost journal is an error, because attempts may be lost too,
    for example from a truncated archive.
    """
    try:
        with open_plain(path, DOCUMENT_BOUND) as file:
            lines = [strict_json.loads_object(line) for line in file if line.endswith(b"\n")]
        for line in lines:
            line["step"], line["event"]
    except UnreadableError as reason:
        begun = names or reason.code is not Code.EVIDENCE_LOST
        return [], [error(reason.code, str(reason))] if begun else []
    except (ValueError, KeyError) as reason:
        return [], [error(Code.DAMAGED, f"{path.name}: {reason}")]
    return lines, []


def _check_node(
    run_dir: Path,
    manifest: _Manifest,
    lines: Sequence[Mapping[str, Any]],
    attempts: Sequence[Attempt],
    *,
    in_progress: bool,
) -> list[Reason]:
    """Compare the inspections of the node before and after the tests.

    If the node was lost or the run was stopped, there is no inspection after the tests.
    """
    assert manifest.node is not None
    begun = sum((one["step"], one["event"]) == _PROVISIONED for one in lines)
    last = max(attempts, key=lambda one: one.name, default=None)
    ended = last is not None and last.state is State.ENDED and not _lost_nodes(lines)
    sessions, problems = inspections.load(run_dir, manifest.run_id, manifest.node.name)
    found = inspections.check(sessions, begun, ended=ended and not in_progress)
    return [*problems, *found]


def _check_journal(
    lines: Sequence[Mapping[str, Any]], names: Collection[str], *, audited: bool = False
) -> list[Reason]:
    """Compare the attempts in the harness's journal with the existing attempts.

    Only the journal shows that the last attempts are lost: their loss leaves no gap in the numbers.
    The journal also lists processes that had to be killed, modifications of the base (the
    environment without the change under test), that the node was lost, and versions past their end
    of life. A modified base makes its results worthless. At its end a run compares the resources of
    a cloud that is not bsdgate's own with the resources before the run (``audited``); it is an
    error if this was not done.
    """
    try:
        journalled = {str(line["name"]) for line in lines if line["step"] == "attempt"}
        left = [str(line["message"]) for line in lines if line["step"] == "left-behind"]
        altered = [str(line["message"]) for line in lines if line["step"] == "base-altered"]
        steps = [(line["step"], line["event"]) for line in lines if line["step"] in _DEPLOYMENT]
        checks = [line for line in lines if line["step"] in _CHECKS]
        found = [_finding(line) for line in checks if line["event"] == "fail"]
        lost_nodes = _lost_nodes(lines)
    except (ValueError, KeyError) as reason:
        return [error(Code.DAMAGED, f"{JOURNAL}: {reason}")]
    lost = sorted(journalled.difference(names))
    extra = sorted(name for name in names if _NUMBERED.fullmatch(name) and name not in journalled)
    return [
        *(error(Code.EVIDENCE_LOST, f"evidence/ has no attempt {name}") for name in lost),
        *(error(Code.TRUNCATED, f"{JOURNAL} does not list the attempt {name}") for name in extra),
        *(note(Code.LEFT_BEHIND, message) for message in left),
        *(error(Code.BASE_ALTERED, message) for message in altered),
        *(error(Code.NODE_LOST, message) for message in lost_nodes),
        *found,
        *(_audit_lost() if audited and names and steps[-1:] != [_CLOSED] else ()),
    ]


def _finding(line: Mapping[str, Any]) -> Reason:
    """Return a finding of the harness.

    :raises ValueError: the code is not allowed for a finding.
    """
    code = Code(str(line["code"]))
    if code not in FOUND_CODES:
        raise ValueError(f"{code} is not a code of a finding")
    return Reason(code.level or Level.NOTE, code, str(line["message"]))


def _audit_lost() -> list[Reason]:
    message = (
        f"{JOURNAL} does not show that other resources of the cloud were compared after the run"
    )
    return [error(Code.EVIDENCE_LOST, message)]


def _lost_nodes(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the messages about a lost node since the run was last begun or resumed."""
    lost: list[str] = []
    for line in lines:
        if line["step"] == "node-lost":
            lost.append(str(line["message"]))
        elif line["step"] == "provision" and line["event"] == "begin":
            lost.clear()
    return lost


def _read_manifest(run_dir: Path) -> tuple[_Manifest, list[Reason]]:
    """Return the manifest, and its problems; raise EvidenceError if there is none."""
    path = run_dir / "manifest.json"
    try:
        with open_plain(path, HEAD_BOUND) as file:
            content = strict_json.loads_object(file.read())
        if content.get("schema") not in SCHEMAS:
            raise ValueError(f"schema {content.get('schema')!r} is not one of {SCHEMAS}")
        manifest, problems = _checked(content)
    except (UnreadableError, ValueError) as reason:
        message = f"{path} is not the manifest of a run: {strict_json.explain(reason)}"
        hint = "give the run directory that `bsdgate run` printed"
        raise EvidenceError(message, hint) from None
    if content["schema"] < NODE_SCHEMA:
        return manifest, problems
    try:
        return _with_node(manifest, run_dir / NODE), problems
    except UnreadableError as reason:
        return manifest, [*problems, error(reason.code, str(reason))]


def _with_node(manifest: _Manifest, path: Path) -> _Manifest:
    """Add the content of the document of the node to the manifest.

    :raises UnreadableError: the document is lost, damaged or of another run.
    """
    with open_plain(path, HEAD_BOUND) as file:
        content = file.read()
    try:
        found = _NodeDocument.model_validate(strict_json.loads_object(content))
    except ValueError as reason:
        raise UnreadableError(f"{path.name}: {strict_json.explain(reason)}", Code.DAMAGED) from None
    asked = {(one.project, one.identity) for one in manifest.sources}
    wrong = [
        f"{name} is {its!r:.200}, not {ours!r:.200}"
        for name, its, ours in (
            ("run_id", found.run_id, manifest.run_id),
            ("with", {(one.project, one.identity) for one in found.sources}, asked),
        )
        if its != ours
    ]
    if wrong:
        message = f"{path.name} is of another run: {'; '.join(wrong)}"
        raise UnreadableError(message, Code.FOREIGN_EVIDENCE)
    node = NodeRef(name=found.name, sha256=hashlib.sha256(content).hexdigest())
    return replace(
        manifest,
        node=node,
        inspected=found.schema_version >= INSPECTED_SCHEMA,
        facts=found.facts,
        versions=found.versions,
        sources=found.sources,
    )


def _checked(content: Mapping[str, Any]) -> tuple[_Manifest, list[Reason]]:
    """Return the manifest and its problems. A field with a wrong value gets its default.

    :raises ValueError: the manifest has no run id, or no creation time with a time zone.
    """
    named = {_NAMES.get(key, key): value for key, value in content.items() if value}
    given = {each.name: named[each.name] for each in fields(_Manifest) if each.name in named}
    given["created"] = moment(named.get("created"))
    given |= {"policy": content.get("policy"), "content": content}
    try:
        return _adapter().validate_python(given), []
    except ValidationError as reason:
        wrong = {str(each["loc"][0]): each["msg"] for each in reason.errors()}
    problems = [
        error(_CODES.get(name, Code.DAMAGED), f"manifest.json: {name}: {message}")
        for name, message in wrong.items()
    ]
    good = {name: value for name, value in given.items() if name not in wrong}
    return _adapter().validate_python(good), problems


@cache
def _adapter() -> TypeAdapter[_Manifest]:
    return TypeAdapter(_Manifest)


def policy_of(run_dir: Path) -> Policy:
    """Return the policy in the manifest in ``run_dir``, or DEVELOPER if the manifest has none.

    Raises EvidenceError without a manifest, and for an unknown policy.
    """
    name = _read_manifest(run_dir)[0].policy
    if name is None:
        return DEVELOPER
    if not isinstance(name, str) or name not in POLICIES:
        hint = f"choose one with --policy: {', '.join(POLICIES)}"
        raise EvidenceError(f"{run_dir / 'manifest.json'}: there is no policy {name!r}", hint)
    return POLICIES[name]


def _gaps(names: Sequence[str]) -> list[Reason]:
    """Return an error if attempts are lost: their numbers begin at 01 and have no gaps."""
    numbers = {int(match[1]) for name in names if (match := _NUMBERED.fullmatch(name))}
    lost = [number for number in range(1, max(numbers, default=0)) if number not in numbers]
    if not lost:
        return []
    listed = ", ".join(f"{number:02}" for number in lost)
    return [error(Code.EVIDENCE_LOST, f"evidence/ has no attempt with the number {listed}")]
