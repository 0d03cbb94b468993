# SPDX-License-Identifier: Apache-2.0
"""Reads files of known failures, and lists all problems in them, each with file and line."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from bsdgate.results.checked_yaml import Document, FileProblem
from bsdgate.results.errors import BsdgateError
from bsdgate.results.expectations.entries import NEEDED_TO_EXCUSE, Entry, Expectation
from bsdgate.results.model import count

PROPOSAL: Final = "proposal"
"""The key that marks a proposed entry, which a person has to complete."""

_NOT_ENTRIES: Final = ("README.rst", "__init__.py", "__pycache__")
"""Files in bsdgate's folder of known failures that are not files of entries."""


class ExpectationsError(BsdgateError):
    """Files of known failures cannot be used; ``problems`` has one line for each problem."""

    def __init__(self, problems: Sequence[str]) -> None:
        head = f"{count(problems, 'problem')} in the known failures:"
        super().__init__("\n".join([head, *problems]), "correct these entries")
        self.problems = tuple(problems)


def load(paths: Iterable[Path]) -> tuple[Expectation, ...]:
    """Read the files in ``paths``, and the ``*.yaml`` files of the folders in ``paths``.

    An empty file has no entries. An entry without bug or owner is returned too, although it excuses
    nothing.

    :raises ExpectationsError: there is any other problem; the error lists all of them.
    """
    entries, problems = read(paths)
    if problems:
        raise ExpectationsError(problems)
    return entries


def read(paths: Iterable[Path]) -> tuple[tuple[Expectation, ...], tuple[str, ...]]:
    """Read as ``load`` does; return the entries without a problem, and the problems."""
    found = [one for file in listed(paths) for one in _check(Document(file, scalars_as_text=True))]
    problems = sorted(one for one in found if isinstance(one, FileProblem))
    return tuple(one for one in found if isinstance(one, Expectation)), tuple(map(str, problems))


def listed(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the files in ``paths``, and the ``*.yaml`` files in the folders in ``paths``."""
    for path in paths:
        if path.is_dir():
            yield from sorted(path.glob("*.yaml"))
        else:
            yield path


def ignored(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Return the files in these folders that are not read because they are not ``*.yaml``."""
    return tuple(
        path
        for folder in paths
        if folder.is_dir()
        for path in sorted(folder.iterdir())
        if path.suffix != ".yaml" and path.name not in _NOT_ENTRIES and path.name[0] != "."
    )


def _check(document: Document) -> Iterator[Expectation | FileProblem]:
    yield from document.problems
    if isinstance(document.data, list):
        for index, data in enumerate(document.data):
            yield from _check_entry(document, index, data)
    elif document.data is not None:
        yield document.problem((), "a list of entries was expected")


def _check_entry(document: Document, index: int, data: Any) -> Iterator[Expectation | FileProblem]:
    place = (index,)
    problems = []
    if isinstance(data, dict):
        if document.comment_follows((index, "test")) and data.get("test"):
            text = (
                f"test: {data['test']!r} ends at ' #', where YAML begins a comment: put the id in"
                " quotes, or the comment on a line of its own"
            )
            yield document.problem((index, "test"), text)
        if PROPOSAL in data:
            text = "proposal: complete the entry (owner, expires), then remove this line"
            problems.append(document.problem((index, PROPOSAL), text, at_key=True))
            del data[PROPOSAL]
    entry, wrong = document.validate(Entry, data, place)
    problems += wrong
    if entry is not None and entry.expires < entry.since:
        text = f"expires: {entry.expires} is before since: {entry.since}"
        problems.append(document.problem((index, "expires"), text))
    yield from problems
    if problems and isinstance(data, dict):
        for key in (key for key in NEEDED_TO_EXCUSE if key not in data):
            yield document.problem(place, f"the key {key} is missing in the entry")
    spoiled = problems or any(problem.place[:1] == place for problem in document.problems)
    if entry is not None and not spoiled:
        line = document.problem(place, "").line
        yield Expectation(**vars(entry), source=f"{document.file}:{line}")
