# SPDX-License-Identifier: Apache-2.0
"""The properties of a machine, as ``probe.sh`` prints them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from packaging.utils import canonicalize_name

SCRIPT: Final = Path(__file__).with_name("probe.sh")

_FIRST: Final = "bsdgate-probe 1"
_LAST: Final = "end"


@dataclass(frozen=True)
class Repository:
    """An enabled repository of pkg."""

    name: str
    url: str
    reachable: bool


@dataclass(frozen=True)
class Python:
    """A Python interpreter, and the versions of the distributions in it.

    ``magic`` is the magic number of its byte code, ``platform`` is as in ``sysconfig``, and
    ``libc`` is such as ``glibc-2.36``; ``none`` on systems other than Linux.
    """

    path: str
    version: str
    magic: str
    platform: str
    libc: str
    packages: Mapping[str, str] = field(default_factory=dict)

    @property
    def short(self) -> str:
        """The version in names of packages, such as 311."""
        major, minor, *_ = self.version.split(".")
        return f"{major}{minor}"


@dataclass(frozen=True)
class Report:
    """The properties of a machine.

    ``root`` is how the user becomes root: root, doas, sudo, su or none; None if the machine has no
    pkg. ``pkg`` is the version of pkg, or ``stub`` if pkg is not installed yet. ``disk`` and
    ``memory`` are in MiB. ``old_python`` is an interpreter that is too old. ``environments`` are
    the names of environments that bsdgate has made.
    """

    system: str
    release: str
    architecture: str
    user: str
    cache: str
    disk: int
    memory: int | None = None
    root: str | None = None
    pkg: str | None = None
    old_python: str | None = None
    repositories: tuple[Repository, ...] = ()
    pythons: tuple[Python, ...] = ()
    commands: Mapping[str, str] = field(default_factory=dict)
    environments: tuple[str, ...] = ()

    @property
    def reachable(self) -> tuple[Repository, ...]:
        """The repositories that the machine reaches."""
        return tuple(each for each in self.repositories if each.reachable)

    def __str__(self) -> str:
        """Return the machine in a few words."""
        return f"{self.system} {self.release} {self.architecture}"


def parse(text: str) -> Report:
    """Return the properties in the output of ``probe.sh``.

    :raises ValueError: the text is not the complete output of ``probe.sh``.
    """
    lines = text.splitlines()
    if not lines or lines[0] != _FIRST or lines[-1] != _LAST:
        raise ValueError("this is not the complete output of the probe")
    pairs = [(key, value) for key, _, value in (line.partition(" ") for line in lines[1:-1])]
    one = dict(pairs)
    memory = one.get("memory")
    return Report(
        one["system"],
        one["release"],
        one["architecture"],
        one["user"],
        one["cache"],
        int(one["disk"]),
        int(memory) if memory else None,
        one.get("root"),
        one.get("pkg"),
        one.get("old-python"),
        tuple(_repositories(_values(pairs, "repository"))),
        tuple(_pythons(_values(pairs, "python"), _values(pairs, "package"))),
        dict(_commands(_values(pairs, "command"))),
        tuple(_values(pairs, "environment")),
    )


def _values(pairs: Iterable[tuple[str, str]], key: str) -> list[str]:
    return [value for name, value in pairs if name == key]


def _commands(values: Iterable[str]) -> Iterator[tuple[str, str]]:
    for each in values:
        name, _, path = each.partition(" ")
        yield name, path


def _repositories(values: Iterable[str]) -> Iterator[Repository]:
    # They are probed at the same time, so their order varies.
    for each in sorted(values):
        state, name, url = each.split(" ", 2)
        yield Repository(name, url, state == "reachable")


def _pythons(pythons: Iterable[str], packages: Iterable[str]) -> Iterator[Python]:
    found = [each.split(" ", 2) for each in packages]
    for each in pythons:
        version, magic, platform, libc, path = each.split(" ", 4)
        here = {str(canonicalize_name(name)): value for own, name, value in found if own == version}
        yield Python(path, version, magic, platform, libc, here)
