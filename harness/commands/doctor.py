# SPDX-License-Identifier: Apache-2.0
"""The command ``bsdgate doctor``: what a machine has and lacks. Nothing is changed."""

import contextlib
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

from packaging.utils import canonicalize_name
from rich.console import Console
from rich.text import Text

from bsdgate.harness.cloud.service import distributions
from bsdgate.harness.deployments import table
from bsdgate.harness.environments.environment import RUNNERS
from bsdgate.harness.errors import InfrastructureError
from bsdgate.harness.nodes import specs
from bsdgate.harness.nodes.bootstrap.plan import FREEBSD, Plan
from bsdgate.harness.profiles import releases
from bsdgate.harness.profiles.model import Profile

_TITLES: Final = ("name", "state", "version", "needed", "package")
# The programs of a controller, and their purposes.
_PROGRAMS: Final = (
    ("ssh", "a node (--on)"),
    ("git", "a change (--with)"),
    ("uv", "a change (--with)"),
    ("bwrap", "a sandbox for the build of a change"),
    ("qemu-img", "a guest (--on qemu)"),
)


@dataclass(frozen=True)
class _Row:
    name: str
    state: str
    version: str = ""
    needed: str = ""
    package: str = ""

    @property
    def cells(self) -> tuple[str, ...]:
        return (self.name, self.state, self.version, self.needed, self.package)


def show(on: str | None, profile: Profile, console: Console) -> int:
    """Show what a node, or this machine, has and lacks; return the exit code."""
    if on is None:
        return _show_local(profile, console)
    spec = specs.parse(on)

    def report(line: str) -> None:
        _print(console, line)

    with tempfile.TemporaryDirectory(prefix="bsdgate-doctor-") as folder:
        made = table.remote_node(spec, profile, Path(folder), Path(folder), report=report)
        with contextlib.closing(made) as node:
            node.reach()
            has_bsdgate = node.has_same_bsdgate()
            plan = node.look(table.needs_of(profile))
    _show_plan(plan, console)
    if has_bsdgate:
        _print(console, f"ready: {spec} has the same bsdgate on its PATH")
        return 0
    return _conclude(plan, str(spec), console)


def _show_plan(plan: Plan, console: Console) -> None:
    report = plan.report
    memory = "" if report.memory is None else f", {report.memory} MiB of memory"
    _print(console, f"{report}{memory}, {report.disk} MiB free for {report.cache}")
    if report.pkg is not None:
        root = "cannot become root" if report.root == "none" else f"root by {report.root}"
        _print(console, f"user {report.user} ({root}), pkg {report.pkg}")
        for each in report.repositories:
            state = "reachable" if each.reachable else "not reachable"
            _print(console, f"repository {each.name}: {state}, {each.url}")
    packages = report.system == FREEBSD
    rows = [
        _Row(
            item.name,
            item.state,
            item.version,
            f"{item.versions} {f'for {item.purpose}' if item.purpose else ''}".strip(),
            item.package if packages else "",
        )
        for item in plan.items
    ]
    _table(rows, console)


def _conclude(plan: Plan, on: str, console: Console) -> int:
    for item in plan.wrong:
        line = f"{item.name} {item.version} on the node is not in the range {item.versions}"
        _print(console, f"{line}: install another version, or use another image")
    if plan.missing:
        _print(console, f"missing: {plan.next_step()}")
    if plan.ready:
        made = plan.content is not None and plan.content.name in plan.report.environments
        state = "has its environment" if made else "gets its environment with the first run"
        _print(console, f"ready: {on} {state}")
    return 0 if plan.ready else InfrastructureError.exit_code


def _show_local(profile: Profile, console: Console) -> int:
    pins = releases.pins(profile.release)
    rows = [_Row("Python", "there", platform.python_version(), ">=3.11")]
    ready = True
    for name in (*distributions(profile.services), *RUNNERS):
        version = _version(name)
        pin = str(pins[canonicalize_name(name)])
        there = version == pin
        ready = ready and there
        state = "there" if there else "wrong version" if version else "missing"
        rows.append(_Row(name, state, version, f"=={pin}"))
    rows += _programs()
    _table(rows, console)
    if not ready:
        pinned = releases.constraints(profile.release)
        _print(console, f"missing: run through tox, or install bsdgate[cloud] with -c {pinned}")
        return InfrastructureError.exit_code
    _print(console, f"ready: this machine can run profile {profile.name}")
    return 0


def _version(name: str) -> str:
    with contextlib.suppress(metadata.PackageNotFoundError):
        return metadata.version(name)
    return ""


def _programs() -> Iterator[_Row]:
    # uv is in the environment of bsdgate, which need not be on the PATH.
    place = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    for name, purpose in _PROGRAMS:
        state = "there" if shutil.which(name, path=place) else "missing"
        yield _Row(name, state, "", f"for {purpose}")


def _table(rows: Sequence[_Row], console: Console) -> None:
    columns = [column for column in range(len(_TITLES)) if any(row.cells[column] for row in rows)]
    lines = [
        [row[column] for column in columns] for row in (_TITLES, *(each.cells for each in rows))
    ]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    for number, line in enumerate(lines):
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        console.print(Text("  ".join(cells).rstrip(), "" if number else "dim"), soft_wrap=True)


def _print(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)
