# SPDX-License-Identifier: Apache-2.0
"""Versions of FreeBSD, as named in its release tree: 15.1-RELEASE, 16.0-CURRENT."""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Self

from bsdgate.harness.errors import UsageError

_NUMBER: Final = r"\d{1,3}\.\d{1,2}"
_BRANCH: Final = r"RELEASE|STABLE|CURRENT|PRERELEASE|(?:ALPHA|BETA|RC)\d*"
_SNAPSHOT: Final = re.compile(r"STABLE|CURRENT|PRERELEASE|ALPHA\d*")
_VERSION: Final = re.compile(
    rf"(?P<number>{_NUMBER})(?:-(?P<branch>{_BRANCH}))?"
    r"(?:-(?P<date>\d{8})(?:-(?P<revision>[0-9a-f]{7,40}-\d+))?)?"
)
_FOLDER: Final = re.compile(rf"(?P<number>{_NUMBER})-(?P<branch>{_BRANCH})")

FORMS: Final = "15.1, 15.1-RELEASE, 15.2-RC1, 15.1-STABLE, 16.0-CURRENT, 15.1-STABLE-20261119"
"""Examples of all forms, for messages."""


@dataclass(frozen=True)
class Version:
    """A version of FreeBSD. A snapshot has a date; without one, the newest is meant.

    ``revision`` is the commit and the number of commits of a dated snapshot.
    """

    number: str
    branch: str = "RELEASE"
    date: str = ""
    revision: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the version with this name; ``15.1`` is 15.1-RELEASE.

        :raises UsageError: the text is not a version; the error has the nearest one.
        """
        match = _VERSION.fullmatch(text)
        if match is None:
            raise UsageError(f"{text!r} is not a version of FreeBSD", _advice(text))
        version = cls(**{name: value for name, value in match.groupdict().items() if value})
        if version.date and not version.is_snapshot:
            raise UsageError(
                f"{text!r} is not a version of FreeBSD: only snapshots have a date",
                f"use {version.folder}",
            )
        return version

    @property
    def folder(self) -> str:
        """The name of its folder in the release tree."""
        return f"{self.number}-{self.branch}"

    @property
    def is_snapshot(self) -> bool:
        """Whether it is a snapshot, which is built regularly; each build has a date."""
        return _SNAPSHOT.fullmatch(self.branch) is not None

    @property
    def is_exact(self) -> bool:
        """Whether its images never change: a release, or a snapshot with a date and a revision."""
        return not self.is_snapshot or bool(self.revision)

    @property
    def suffix(self) -> str:
        """The date and the revision, as in file names."""
        return "-".join(filter(None, (self.date, self.revision)))

    def __str__(self) -> str:
        return "-".join(filter(None, (self.folder, self.suffix)))


def folders_of_versions(names: Iterable[str]) -> list[Version]:
    """Return the versions that have a folder among these names, in their order."""
    matches = map(_FOLDER.fullmatch, names)
    found = [Version(match["number"], match["branch"]) for match in matches if match]
    return sorted(found, key=_order)


def nearest(wanted: str, known: Sequence[str]) -> str | None:
    """Return the known name that is most like ``wanted``; upper and lower case are equal."""
    by_letters = {name.upper(): name for name in known}
    found = difflib.get_close_matches(wanted.upper(), by_letters, n=1, cutoff=0)
    return by_letters[found[0]] if found else None


def _order(version: Version) -> tuple[list[int], str]:
    return [*map(int, version.number.split("."))], version.branch


def _advice(text: str) -> str:
    match = re.match(_NUMBER, text)
    if match is None:
        return f"give a version such as {FORMS}; or a path with a `/`, or a URL"
    branches = ("RELEASE", "STABLE", "CURRENT", "RC1", "BETA1")
    return f"the nearest is {nearest(text, [f'{match[0]}-{each}' for each in branches])}"
