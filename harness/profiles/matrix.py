# SPDX-License-Identifier: Apache-2.0
"""The matrix: the tested versions of FreeBSD and OpenStack, with their end-of-life dates."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import Field, StringConstraints, model_validator

from bsdgate.harness.profiles import settings
from bsdgate.harness.profiles.model import Architecture, Part
from bsdgate.results.codes import Code
from bsdgate.results.problems import Finding

FILE: Final = Path(__file__).parent.parent / "releases" / "matrix.yaml"
NOTICE: Final = timedelta(days=60)
"""The time before the end of life in which each verdict has a note."""

# Strict: pydantic would read a number, or a text, as a date too.
_Day = Annotated[date, Field(strict=True)]


class FreeBSD(Part):
    """A version of FreeBSD."""

    version: Annotated[str, StringConstraints(pattern=r"^(\d+\.\d+|stable/\d+|main)$")]
    """The number of a release, or the name of a branch."""
    end_of_life: _Day | None
    """The last day of FreeBSD's support; null for ``main``."""
    architectures: tuple[Architecture, ...] = ()
    """The architectures that the version is tested on."""
    releases: tuple[str, ...] = ()
    """The OpenStack releases that are tested on the version."""
    default: bool = False
    """Whether the version is used if no other is requested; exactly one is."""


class OpenStack(Part):
    """A release of OpenStack."""

    release: Annotated[str, StringConstraints(pattern=r"^\d{4}\.[12]$")]
    """The name of the release."""
    end_of_life: _Day
    """The last day on which the release is maintained."""


class Matrix(Part):
    """The file ``harness/releases/matrix.yaml``."""

    freebsd: tuple[FreeBSD, ...]
    """The versions of FreeBSD, also those past their end of life."""
    openstack: tuple[OpenStack, ...]
    """The releases of OpenStack."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        known = [each.release for each in self.openstack]
        counts = Counter([*(each.version for each in self.freebsd), *known])
        if repeated := [name for name, count in counts.items() if count > 1]:
            raise ValueError(f"more than one entry for {', '.join(repeated)}")
        wanted = {release for each in self.freebsd for release in each.releases}
        if unknown := wanted.difference(known):
            raise ValueError(f"releases without an entry in openstack: {', '.join(unknown)}")
        if (defaults := sum(each.default for each in self.freebsd)) != 1:
            raise ValueError(f"{defaults} versions of FreeBSD are the default; one must be")
        return self


@cache
def load() -> Matrix:
    """Return the matrix.

    :raises ConfigurationError: the file is wrong.
    """
    return settings.read(FILE, Matrix)


def versions() -> tuple[str, ...]:
    """Return all versions of FreeBSD in the matrix."""
    return tuple(each.version for each in load().freebsd)


def default() -> str:
    """Return the version of FreeBSD to use if no other is requested."""
    return next(each.version for each in load().freebsd if each.default)


def name(number: str, branch: str) -> str:
    """Return the name in the matrix of a version such as 15.1-RELEASE or 15.1-STABLE."""
    stable = f"stable/{number.partition('.')[0]}"
    names = {"RELEASE": number, "STABLE": stable, "PRERELEASE": stable, "CURRENT": "main"}
    return names.get(branch, f"{number}-{branch}")


def end_of_life(version: str) -> date | None:
    """Return the last day of support of a version of FreeBSD; None if the matrix has no date."""
    entry = _find(version)
    return entry.end_of_life if entry else None


def problems(facts: Mapping[str, str], release: str, today: date) -> Sequence[Finding]:
    """Return the problems of a run: versions that are past or near their end of life, or untested.

    ``facts`` are the properties of the node, ``release`` is the OpenStack release of the run, and
    ``today`` the day on which the run began.
    """
    found = [
        problem
        for each in load().openstack
        if each.release == release
        for problem in _aged(
            f"OpenStack {release}",
            each.end_of_life,
            today,
            "choose a profile with a later OpenStack release",
        )
    ]
    if "freebsd" in facts:
        version = name(facts["freebsd"], facts.get("freebsd_branch", "RELEASE"))
        found += _of_freebsd(version, facts["architecture"], release, today)
    return found


def _of_freebsd(version: str, architecture: str, release: str, today: date) -> Iterator[Finding]:
    """Yield the problems of a version of FreeBSD, with the supported versions as advice."""
    supported = [
        each.version
        for each in load().freebsd
        if each.version[0].isdigit()
        and _is_tested(each, architecture, release)
        and (each.end_of_life is None or today + NOTICE < each.end_of_life)
    ]
    later = f"use FreeBSD {' or '.join(supported) or 'of a later version'}"
    entry = _find(version)
    aged = list(_aged(f"FreeBSD {version}", end_of_life(version), today, later))
    yield from aged
    if any(each.code is Code.END_OF_LIFE for each in aged):
        return
    if entry is None or not _is_tested(entry, architecture, release):
        yield Finding(
            Code.NOT_IN_MATRIX,
            f"FreeBSD {version} on {architecture} with OpenStack {release} is not in the matrix of"
            f" tested versions: {later}, or add it to harness/releases/{FILE.name}",
        )


def _aged(what: str, end: date | None, today: date, later: str) -> Iterator[Finding]:
    """Yield a problem if the end of life of ``what`` is past or near; ``later`` is the advice."""
    if end is None or today + NOTICE < end:
        return
    if today > end:
        yield Finding(Code.END_OF_LIFE, f"{what} reached its end of life on {end}: {later}")
    else:
        text = f"{what} reaches its end of life on {end}: {later} after that day"
        yield Finding(Code.END_OF_LIFE_NEAR, text)


def _is_tested(entry: FreeBSD, architecture: str, release: str) -> bool:
    return architecture in entry.architectures and release in entry.releases


def _find(version: str) -> FreeBSD | None:
    return next((each for each in load().freebsd if each.version == version), None)
