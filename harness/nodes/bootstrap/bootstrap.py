# SPDX-License-Identifier: Apache-2.0
"""Carries out a bootstrap over a connection: probe, packages, environment."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bsdgate.harness.errors import InfrastructureError
from bsdgate.harness.nodes import shell
from bsdgate.harness.nodes.base import NodeLostError
from bsdgate.harness.nodes.bootstrap import content, installer, packages, pkg, plan, probe
from bsdgate.harness.nodes.bootstrap.content import Content
from bsdgate.harness.nodes.bootstrap.plan import Item, Needs, Plan, State
from bsdgate.harness.nodes.bootstrap.probe import Report
from bsdgate.harness.nodes.connection import LOST, Answer, Connection

PROBE_TIMEOUT: Final = 120.0
"""The maximum number of seconds to probe a node of usual speed."""
COPY_TIMEOUT: Final = 1800.0
"""The maximum number of seconds to unpack and check an environment, on a node of usual speed."""
FOLDER: Final = "node"
"""The directory of the environments in the cache directory of the node."""

_MIB: Final = 1 << 20
_LOADER: Final = "import sys; exec(sys.stdin.buffer.read(int(sys.argv[1])))"
_SPARE_MIB: Final = 100
"""The disk space that must be left for the virtual environment and for byte code."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Made:
    """An environment on a node: its interpreter, and the source of its compiled packages."""

    python: str
    source: str


@dataclass(frozen=True)
class Bootstrap:
    """The bootstrap of the node ``name``. ``factor`` multiplies the time limits.

    Without ``needs``, only ``find`` can be used.
    """

    connection: Connection
    name: str
    needs: Needs | None
    progress: Progress
    factor: float = 1.0

    def look(self) -> Plan:
        """Return what the node has and lacks; nothing is changed.

        :raises InfrastructureError: the node cannot be probed.
        """
        assert self.needs is not None
        return plan.make(self._probe(), self.needs)

    def find(self) -> str | None:
        """Return the interpreter of the last used environment with this bsdgate, if there is one.

        The packages in it may have other versions than those of this machine.
        """
        report, prefix = self._probe(), content.own_prefix()
        made = [each for each in report.environments if each.startswith(prefix)]
        return python_of(report, made[0]) if made else None

    def make(self) -> Made:
        """Make the environment on the node, unless it is there already.

        :raises InfrastructureError: a package cannot be installed, or another stage failed.
        :raises NodeLostError: the connection was lost.
        """
        found = self.look()
        self.progress(f"bootstrap: {found.report}, user {found.report.user}")
        installed = self._install_missing(found)
        if installed:
            found = self.look()
        self._check(found)
        assert found.content is not None
        source = f"repository {', '.join(each.name for each in found.report.reachable)}"
        made = Made(
            python_of(found.report, found.content.name), source if installed else _origin(found)
        )
        if found.content.name in found.report.environments:
            self.progress(f"bootstrap: nothing to do, {made.python} is up to date")
            return made
        self._report_packages(found, made.source)
        self._copy(found, found.content)
        return made

    # The stages ------------------------------------------------------------------------------

    def _probe(self) -> Report:
        names = [each.name for each in packages.SYSTEM]
        line = shell.command(["/bin/sh", "-s", *names])
        with probe.SCRIPT.open("rb") as script:
            answer = self.connection.call(line, PROBE_TIMEOUT * self.factor, script)
        self._check_connected("probe", answer)
        try:
            return probe.parse(answer.output)
        except (ValueError, KeyError):
            first = answer.output.partition("\n")[0][:200]
            raise InfrastructureError(
                f"bootstrap of the node {self.name}, stage probe: /bin/sh printed"
                f" {first!r} first, and {answer.ending}\n{answer.last_lines}".rstrip(),
                "let the startup files of the login shell print nothing without a terminal, and"
                " check that /bin/sh is a POSIX shell",
            ) from None

    def _install_missing(self, found: Plan) -> bool:
        """Install missing packages if that is possible; return whether any was installed."""
        report, missing = found.report, found.missing
        able = report.pkg is not None and report.root != "none" and bool(report.reachable)
        if not missing or not able or found.wrong:
            return False
        required = [item for item in missing if item.required]
        if required:
            self._install(report, required)
        optional = [self._install_optional(report, item) for item in missing if not item.required]
        return bool(required) or any(optional)

    def _install_optional(self, report: Report, item: Item) -> bool:
        try:
            self._install(report, [item])
        except InfrastructureError as error:
            first = error.message.partition("\n")[0]
            self.progress(f"bootstrap: {first}; {item.name} is only for {item.purpose}")
            return False
        return True

    def _install(self, report: Report, items: list[Item]) -> None:
        names = [item.package for item in items]
        how = "" if report.root == "root" else f" as root by {report.root}"
        self.progress(f"bootstrap: pkg installs {', '.join(names)}{how}")
        command = plan.as_root(report.root, pkg.install(report, names))
        line = shell.command(["/bin/sh", "-c", f"exec </dev/null 1>&2; {_PATH}; {command}"])
        answer = self.connection.call(line, pkg.TIMEOUT * self.factor)
        self._check_connected("packages", answer)
        if answer.status != 0:
            raise InfrastructureError(
                f"bootstrap of the node {self.name}, stage packages: `{command}`"
                f" {answer.ending}\n{answer.last_lines}",
                pkg.hint(answer.last_lines, command),
            )

    def _check(self, found: Plan) -> None:
        """Check that the node has all required packages, in the right versions, and disk space."""
        if found.wrong:
            texts = [f"{_label(item)} is not in the range {item.versions}" for item in found.wrong]
            raise InfrastructureError(
                f"the node {self.name} has packages in other versions: {'; '.join(texts)}",
                "install versions in these ranges on the node, by another branch of ports or"
                " another image",
            )
        if not found.ready:
            raise InfrastructureError(
                f"the node {self.name} ({found.report}) lacks"
                f" {', '.join(_label(item) for item in found.missing if item.required)}:"
                f" {_reason(found)}",
                found.next_step(),
            )

    def _report_packages(self, found: Plan, source: str) -> None:
        there = [item for item in found.items if item.state is State.THERE and item.version]
        versions = ", ".join(f"{item.name} {item.version}" for item in there)
        origin = "already there" if source == "node" else f"from the {source}"
        self.progress(f"bootstrap: {origin}: {versions}")

    def _copy(self, found: Plan, wanted: Content) -> None:
        """Copy the packages of this machine, and make the environment of them."""
        count = len(wanted.parts)
        self.progress(f"bootstrap: packing {count} Python packages of this machine")
        with tempfile.TemporaryFile(dir=self.connection.log.parent) as packed:
            program = Path(installer.__file__).read_bytes()
            packed.write(program)
            files, size = wanted.pack(packed)
            self._check_space(found, size)
            megabytes = packed.tell() / _MIB
            self.progress(f"bootstrap: copying {files} files to the node ({megabytes:.0f} MiB)")
            packed.seek(0)
            modules = [each.module for each in packages.SYSTEM if self._is_used(each, found)]
            folder = f"{found.report.cache}/{FOLDER}"
            argv = [wanted.python.path, "-I", "-c", _LOADER, str(len(program))]
            argv += [folder, wanted.name, str(files), "bsdgate.harness.cli", *modules]
            line = shell.command(argv)
            answer = self.connection.call(line, COPY_TIMEOUT * self.factor, packed)
        self._check_copied(answer)

    def _is_used(self, package: packages.SystemPackage, found: Plan) -> bool:
        states = {item.name: item.state for item in found.items}
        return states.get(package.name) in {State.THERE, State.COPIED}

    def _check_space(self, found: Plan, size: int) -> None:
        needed = size // _MIB + _SPARE_MIB
        if found.report.disk < needed:
            raise InfrastructureError(
                f"the node {self.name} has {found.report.disk} MiB of disk space for"
                f" {found.report.cache}, and the environment needs {needed} MiB",
                "make room on the node, or set BSDGATE_CACHE_DIR there",
            )

    def _check_copied(self, answer: Answer) -> None:
        self._check_connected("environment", answer)
        if answer.status == 0:
            return
        hints = {
            installer.NO_ROOM: "make room on the node, or set BSDGATE_CACHE_DIR there",
            installer.INCOMPLETE: "run the command again",
            installer.BROKEN: "install the package with the module again on the node",
        }
        raise InfrastructureError(
            f"bootstrap of the node {self.name}, stage environment: the installer"
            f" {answer.ending}\n{answer.last_lines}",
            hints.get(answer.status or 1, "correct the cause on the node, and run it again"),
        )

    def _check_connected(self, stage: str, answer: Answer) -> None:
        if answer.status == LOST:
            raise NodeLostError(
                f"bootstrap of the node {self.name}, stage {stage}: the connection was lost\n"
                f"{answer.last_lines}".rstrip(),
                "check the network and the node, and run the command again",
            )


_PATH: Final = 'PATH="$PATH:/usr/sbin:/sbin:/usr/local/bin:/usr/local/sbin"; export PATH'


def python_of(report: Report, environment: str) -> str:
    """Return the interpreter of an environment on the node."""
    return f"{report.cache}/{FOLDER}/{environment}/bin/python"


def _origin(found: Plan) -> str:
    """Return the source of the compiled packages if none was installed.

    The node had them before: they are in its image, or an earlier bootstrap has installed them.
    """
    copied = any(item.state is State.COPIED for item in found.items)
    return "controller" if copied else "node"


def _label(item: Item) -> str:
    return f"{item.name} {item.version}".rstrip()


def _reason(found: Plan) -> str:
    """Return why bsdgate cannot install the missing packages."""
    report = found.report
    if report.system != plan.FREEBSD and report.pkg is None:
        return "bsdgate installs packages of the system only on FreeBSD"
    if report.pkg is None:
        return "the node has no pkg"
    if not report.repositories:
        return "no package repository is configured on the node"
    if not report.reachable:
        urls = ", ".join(each.url for each in report.repositories)
        return f"the node does not reach its package repositories ({urls})"
    return f"the user {report.user} cannot become root by doas, sudo or su without a password"
