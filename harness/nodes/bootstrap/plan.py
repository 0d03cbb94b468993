# SPDX-License-Identifier: Apache-2.0
"""Compares a machine with what the services need: what is there, what is missing."""

import shlex
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bsdgate.harness.nodes.bootstrap import content as contents
from bsdgate.harness.nodes.bootstrap import packages, pkg
from bsdgate.harness.nodes.bootstrap.content import Content
from bsdgate.harness.nodes.bootstrap.packages import DEFAULT_PYTHON, SQLITE
from bsdgate.harness.nodes.bootstrap.probe import Python, Report

FREEBSD: Final = "FreeBSD"
_ROOT_COMMANDS: Final = {"root": "", "doas": "doas -n ", "sudo": "sudo -n ", "su": "su -m root -c "}


@dataclass(frozen=True)
class Needs:
    """The needs of a command on a node: a release, its services, and whether a change is built."""

    release: str
    services: tuple[str, ...]
    change: bool = False


class State(StrEnum):
    """The state of something that a node needs."""

    THERE = "there"
    COPIED = "copied"
    """bsdgate copies it from this machine."""
    MISSING = "missing"
    WRONG = "wrong version"


@dataclass(frozen=True)
class Item:
    """Something that a node needs: its version on the node, and its package on FreeBSD.

    ``versions`` is the range of versions. ``purpose`` is the purpose of an item that is not always
    needed. ``requirement`` is the item for pip, if pip can install it.
    """

    name: str
    state: State
    package: str
    version: str = ""
    versions: str = ""
    purpose: str = ""
    requirement: str = ""

    @property
    def required(self) -> bool:
        """Whether bsdgate cannot run on the node without the item."""
        return not self.purpose and self.state in {State.MISSING, State.WRONG}


@dataclass(frozen=True)
class Plan:
    """What a node has and needs. ``content`` is None if the node has no suitable Python."""

    report: Report
    items: tuple[Item, ...]
    content: Content | None

    @property
    def python(self) -> Python | None:
        """The interpreter that is used."""
        return self.content.python if self.content is not None else None

    @property
    def ready(self) -> bool:
        """Whether the node needs no more packages of its system."""
        return not any(item.required for item in self.items)

    @property
    def missing(self) -> tuple[Item, ...]:
        """The items that can be installed: those that are missing."""
        return tuple(item for item in self.items if item.state is State.MISSING)

    @property
    def wrong(self) -> tuple[Item, ...]:
        """The items with a version outside of the range."""
        return tuple(item for item in self.items if item.state is State.WRONG)

    def next_step(self) -> str:
        """Return how the user installs what is missing."""
        if self.report.system == FREEBSD and self.report.pkg is None:
            names = ", ".join(item.package for item in self.missing)
            return f"use a machine or an image that has pkg, or these packages: {names}"
        if self.report.system == FREEBSD:
            install = pkg.install(self.report, [item.package for item in self.missing])
            if self.report.root in {None, "none"}:
                return f"run as root on the node: `{install}`"
            return f"run on the node: `{as_root(self.report.root, install)}`"
        others = [item.name for item in self.missing if not item.requirement]
        found = [item.requirement for item in self.missing if item.requirement]
        steps = (
            [f"install {', '.join(others)} by the package manager of the node"] if others else []
        )
        if found:
            steps.append(f"run on the node: `python3 -m pip install --user {shlex.join(found)}`")
        return "; ".join(steps)


def as_root(root: str | None, command: str) -> str:
    """Return a shell command that runs ``command`` as root; ``root`` is as in ``Report``."""
    prefix = _ROOT_COMMANDS[root or "root"]
    return f"{prefix}{shlex.quote(command)}" if root == "su" else f"{prefix}{command}"


def make(report: Report, needs: Needs) -> Plan:
    """Return the plan for a machine.

    :raises UsageError: this machine's packages cannot be used on the node.
    """
    python = _choose(report)
    content = contents.select(report, python, needs.release) if python else None
    items = [_python_item(report, python)]
    items += [_item(each, content) for each in packages.needed(needs.services)]
    if needs.change:
        items += [_tool_item(each, report) for each in packages.TOOLS]
    return Plan(report, tuple(items), content)


def _choose(report: Report) -> Python | None:
    """Return the interpreter with the most packages of the system; of equal ones, the oldest.

    FreeBSD's repositories have packages only for one version of Python. Another version is used if
    it has packages already.
    """
    names = {each.distribution for each in packages.SYSTEM}

    def count(python: Python) -> int:
        return len(names & python.packages.keys())

    usable = [
        each
        for each in report.pythons
        if report.system != FREEBSD or each.short == DEFAULT_PYTHON or count(each)
    ]
    return max(usable, key=count, default=None)


def _python_item(report: Report, python: Python | None) -> Item:
    package, versions = f"python{DEFAULT_PYTHON}", str(packages.PYTHONS)
    if python is not None:
        return Item("Python", State.THERE, package, python.version, versions)
    if report.old_python is not None:
        old = report.old_python.partition(" ")[0]
        return Item("Python", State.MISSING, package, old, versions)
    return Item("Python", State.MISSING, package, "", versions)


def _item(system: packages.SystemPackage, content: Content | None) -> Item:
    short = content.python.short if content else DEFAULT_PYTHON
    version = content.python.packages.get(system.distribution, "") if content else ""
    if content and system.distribution in content.names:
        state = State.COPIED
    elif not version:
        state = State.MISSING
    else:
        state = State.THERE if system.accepts(version) else State.WRONG
    package = system.package(short)
    by_pip = "" if system.name == SQLITE else f"{system.name}{system.versions}"
    return Item(system.name, state, package, version, system.versions, system.purpose, by_pip)


def _tool_item(tool: packages.Tool, report: Report) -> Item:
    state = State.THERE if tool.name in report.commands else State.MISSING
    return Item(tool.name, state, tool.package, purpose=tool.purpose)
