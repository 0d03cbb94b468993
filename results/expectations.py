# SPDX-License-Identifier: Apache-2.0
"""Known failures: each with a bug, an owner, a reason and a day on which it ends.

A file is a YAML list of entries:

    - test: tempest.api.compute.servers.test_rescue.*    # an id or a glob of * and ?
      bug: https://bugs.launchpad.net/nova/+bug/1
      owner: jane
      reason: fake servers have no rescue disk
      since: 2026-11-01
      expires: 2027-05-01
      scope: {profile: embedded}                         # carried, not judged yet
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from bsdgate.results.errors import BsdgateError
from bsdgate.results.ids import bare

REQUIRED = ("test", "bug", "owner", "reason", "since", "expires")
ALLOWED = (*REQUIRED, "scope")
_DATES = ("since", "expires")


class ExpectationsError(BsdgateError):
    """Files of known failures that cannot be used; ``problems`` has every one, with its place."""

    def __init__(self, problems: Sequence[str]) -> None:
        head = f"{len(problems)} problems in the known failures:"
        super().__init__("\n".join([head, *problems]), "correct these entries")
        self.problems = tuple(problems)


@dataclass(frozen=True)
class Expectation:
    """One known failure. It excuses a failure up to and including the day it expires."""

    test: str
    bug: str
    owner: str
    reason: str
    since: date
    expires: date
    scope: tuple[tuple[str, str], ...] = ()
    source: str = ""

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        # Not fnmatch: test ids have brackets, which are to mean themselves.
        pieces = (
            {"*": ".*", "?": "."}.get(piece, re.escape(piece))
            for piece in re.split(r"([*?])", self.test)
        )
        return re.compile("".join(pieces), re.DOTALL)

    def matches(self, test_id: str) -> bool:
        """Whether the entry speaks of ``test_id``, with or without its ``[id-...]``."""
        return any(self._pattern.fullmatch(form) for form in (test_id, bare(test_id)))


class Expectations:
    """All known failures of a run, looked up by test id on the day of the run."""

    def __init__(self, entries: Iterable[Expectation]) -> None:
        ordered = sorted(entries, key=lambda entry: (entry.test, entry.expires, entry.source))
        self.entries = tuple(ordered)
        self._globs = [entry for entry in ordered if set(entry.test) & set("*?")]
        self._exact: dict[str, list[Expectation]] = {}
        for entry in ordered:
            self._exact.setdefault(entry.test, []).append(entry)

    def of(self, test_id: str) -> list[Expectation]:
        """All entries that speak of ``test_id``, expired ones too; exact ones first."""
        found = [*self._exact.get(test_id, ())]
        if bare(test_id) != test_id:
            found += self._exact.get(bare(test_id), ())
        found += (entry for entry in self._globs if entry.matches(test_id))
        return found


def load(paths: Iterable[Path]) -> tuple[Expectation, ...]:
    """Read files, and the ``*.yaml`` of folders; raise ExpectationsError naming all that is wrong.

    An empty file holds no entries.
    """
    entries: list[Expectation] = []
    problems: list[str] = []
    for file in _files(paths):
        try:
            root = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as reason:
            problems.append(f"{file}: {' '.join(str(reason).split())}")
            continue
        for found in _entries(file, root):
            (problems if isinstance(found, str) else entries).append(found)  # type: ignore[arg-type]
    if problems:
        raise ExpectationsError(problems)
    return tuple(entries)


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(path.glob("*.yaml"))
        else:
            yield path


def _entries(file: Path, root: yaml.Node | None) -> Iterator[Expectation | str]:
    if root is None:
        return
    if not isinstance(root, yaml.SequenceNode):
        yield f"{_place(file, root)}: a list of entries was expected"
        return
    for node in root.value:
        if isinstance(node, yaml.MappingNode):
            yield from _entry(file, node)
        else:
            yield f"{_place(file, node)}: a mapping with {', '.join(REQUIRED)} was expected"


def _entry(file: Path, node: yaml.MappingNode) -> Iterator[Expectation | str]:
    problems: list[str] = []
    fields: dict[str, Any] = {}
    for key, value in node.value:
        try:
            if key.value not in ALLOWED:
                raise ValueError(f"unknown; allowed are {', '.join(ALLOWED)}")
            if key.value in fields:
                raise ValueError("there more than once")
            fields[key.value] = _value(key.value, value)
        except ValueError as reason:
            fields.setdefault(str(key.value), None)
            problems.append(f"{_place(file, key)}: {key.value}: {reason}")
    missing = (name for name in REQUIRED if name not in fields)
    problems.extend(f"{_place(file, node)}: {name} is missing" for name in missing)
    if problems:
        yield from problems
    else:
        yield Expectation(**fields, source=_place(file, node))


def _value(name: str, node: yaml.Node) -> Any:
    if name == "scope":
        if not isinstance(node, yaml.MappingNode):
            raise ValueError("a mapping was expected")
        return tuple(sorted((str(key.value), str(value.value)) for key, value in node.value))
    if not isinstance(node, yaml.ScalarNode) or not node.value.strip():
        raise ValueError("a text was expected")
    text = node.value.strip()
    if name in _DATES:
        return date.fromisoformat(text)
    if name == "bug" and not re.match(r"https?://", text):
        raise ValueError(f"{text!r} is not the URL of a bug")
    return text


def _place(file: Path, node: yaml.Node) -> str:
    return f"{file}:{node.start_mark.line + 1}"


def valid(entries: Iterable[Expectation], day: date) -> list[Expectation]:
    """Those of ``entries`` that excuse on ``day``."""
    return [entry for entry in entries if day <= entry.expires]
