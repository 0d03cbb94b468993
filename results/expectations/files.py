# SPDX-License-Identifier: Apache-2.0
"""Reads files of entries, and says of all that is wrong with them where it stands."""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final

import yaml

from bsdgate.results.errors import BsdgateError
from bsdgate.results.expectations import scope
from bsdgate.results.expectations.entries import OWED, Expectation
from bsdgate.results.model import Outcome, count

REQUIRED: Final = ("test", *OWED, "reason", "since", "expires")
ALLOWED: Final = (*REQUIRED, "outcome", "scope")
PROPOSAL: Final = "proposal"
"""The key that marks an entry which nobody has completed yet."""

# libyaml's, where PyYAML has it, takes a tenth of the time.
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NEIGHBOURS: Final = ("README.rst", "__init__.py", "__pycache__")
"""What is beside the entries that come with bsdgate."""
_DEPTH: Final = 8
_COMMENT: Final = re.compile(r"\s*#")
_DATES: Final = ("since", "expires")
_OUTCOMES: Final = (Outcome.FAIL, Outcome.SKIP)


class ExpectationsError(BsdgateError):
    """Files of known failures that cannot be used; ``problems`` has every one, with its place."""

    def __init__(self, problems: Sequence[str]) -> None:
        head = f"{count(problems, 'problem')} in the known failures:"
        super().__init__("\n".join([head, *problems]), "correct these entries")
        self.problems = tuple(problems)


def load(paths: Iterable[Path]) -> tuple[Expectation, ...]:
    """Read files, and the ``*.yaml`` of folders; raise ExpectationsError naming all that is wrong.

    An empty file holds no entries. One that lacks its bug or owner is among the entries: it is
    invalid, and excuses nothing.
    """
    entries, problems = read(paths)
    if problems:
        raise ExpectationsError(problems)
    return entries


def read(paths: Iterable[Path]) -> tuple[tuple[Expectation, ...], tuple[str, ...]]:
    """Read as ``load`` does; return the entries that can be used, and what is wrong."""
    entries: list[Expectation] = []
    problems: list[str] = []
    for file in listed(paths):
        try:
            text = file.read_text(encoding="utf-8")
            root = _compose(text)
        except yaml.MarkedYAMLError as reason:
            mark = reason.problem_mark or reason.context_mark
            line = f":{mark.line + 1}" if mark else ""
            problems.append(f"{file}{line}: not YAML: {reason.problem or reason.context}")
            continue
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as reason:
            problems.append(f"{file}: {' '.join(str(reason).split())}")
            continue
        problems += _cut_ids(file, root, text.splitlines())
        for found in _entries(file, root):
            (problems if isinstance(found, str) else entries).append(found)  # type: ignore[arg-type]
    return tuple(entries), tuple(problems)


def listed(paths: Iterable[Path]) -> Iterator[Path]:
    """Give the files among ``paths``, and the ``*.yaml`` of the folders among them."""
    for path in paths:
        if path.is_dir():
            yield from sorted(path.glob("*.yaml"))
        else:
            yield path


def strays(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Return what is in these folders and is not read, though somebody may believe that it is."""
    return tuple(
        path
        for folder in paths
        if folder.is_dir()
        for path in sorted(folder.iterdir())
        if path.suffix != ".yaml" and path.name not in _NEIGHBOURS and path.name[0] != "."
    )


def _compose(text: str) -> yaml.Node | None:
    # libyaml composes by recursion, without a bound: what nests too deeply must not get there.
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEPTH:
            raise yaml.YAMLError("nested too deeply")
    root: yaml.Node | None = yaml.compose(text, Loader=_LOADER)
    return root


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


def _cut_ids(file: Path, root: yaml.Node | None, lines: Sequence[str]) -> Iterator[str]:
    """Complaints about ids that may be longer than what YAML takes for them."""
    entries = root.value if isinstance(root, yaml.SequenceNode) else ()
    for entry in entries:
        for key, value in entry.value if isinstance(entry, yaml.MappingNode) else ():
            plain = key.value == "test" and isinstance(value, yaml.ScalarNode) and not value.style
            end = value.end_mark
            behind = "".join(lines[end.line : end.line + 1])[end.column :]
            if plain and _COMMENT.match(behind):
                yield (
                    f"{_place(file, value)}: test: {value.value!r} ends at ' #', where YAML begins"
                    " a comment: put the id in quotes, or the comment on a line of its own"
                )


def _entry(file: Path, node: yaml.MappingNode) -> Iterator[Expectation | str]:
    problems: list[str] = []
    fields: dict[str, Any] = {}
    for key, value in node.value:
        name = str(key.value)
        try:
            if name in fields:
                raise ValueError("there more than once")
            fields[name] = None
            if name == "scope":
                fields[name] = tuple(_scope(file, value, problems))
            else:
                fields[name] = _value(name, value)
        except ValueError as reason:
            problems.append(f"{_place(file, key)}: {name}: {reason}")
    if not problems and fields.keys() >= set(_DATES) and fields["expires"] < fields["since"]:
        problems.append(f"{_place(file, node)}: it expires before the day since when it is known")
    missing: list[str] = [name for name in REQUIRED if name not in fields]
    if problems or set(missing) - set(OWED):
        yield from problems
        yield from (f"{_place(file, node)}: {name} is missing" for name in missing)
    else:
        whole: dict[str, Any] = dict.fromkeys(missing, "") | fields
        yield Expectation(**whole, source=_place(file, node))


def _scope(file: Path, node: yaml.Node, problems: list[str]) -> Iterator[tuple[str, str]]:
    """The pairs of a scope, of a list of alternatives one for each; what is wrong is added."""
    if not isinstance(node, yaml.MappingNode):
        raise ValueError("a mapping was expected")
    for key, value in sorted(node.value, key=lambda pair: str(pair[0].value)):
        for want in value.value if isinstance(value, yaml.SequenceNode) else [value]:
            if isinstance(want, yaml.ScalarNode) and want.value:
                wrong = scope.problem(str(key.value), want.value)
            else:
                wrong = "a text, or a list of texts, was expected"
            if wrong:
                problems.append(f"{_place(file, key)}: scope: {key.value}: {wrong}")
            else:
                yield key.value, want.value


def _value(name: str, node: yaml.Node) -> Any:
    if name == PROPOSAL:
        raise ValueError("complete the entry (owner, expires), then remove this line")
    if name not in ALLOWED:
        raise ValueError(f"unknown; allowed are {', '.join(ALLOWED)}")
    scalar = isinstance(node, yaml.ScalarNode) and not node.tag.endswith(":null")
    text = node.value.strip() if scalar else ""
    if not text and name in OWED and isinstance(node, yaml.ScalarNode):
        return ""
    if not text:
        raise ValueError("a text was expected")
    if name in _DATES:
        return date.fromisoformat(text)
    if name == "outcome":
        if text not in _OUTCOMES:
            raise ValueError(f"{text!r} is neither {' nor '.join(_OUTCOMES)}")
        return Outcome(text)
    if name == "bug" and not re.match(r"https?://", text):
        raise ValueError(f"{text!r} is not the URL of a bug")
    return text


def _place(file: Path, node: yaml.Node) -> str:
    return f"{file}:{node.start_mark.line + 1}"
