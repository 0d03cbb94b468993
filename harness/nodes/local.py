# SPDX-License-Identifier: Apache-2.0
"""This machine as a node."""

import importlib
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bsdgate.harness import files, process
from bsdgate.harness.manifest import ClockDifference, Inspection
from bsdgate.harness.nodes import facts, inspection
from bsdgate.harness.nodes.base import Remote, Report, TimeoutFactor
from bsdgate.harness.nodes.kernel import Messages


class Here:
    """An object in this process, with the interface of ``Remote``."""

    def __init__(self, path: str) -> None:
        module, _, name = path.partition(":")
        self._object = getattr(importlib.import_module(module), name)()

    def call(self, method: str, report: Report, **arguments: Any) -> Any:
        """Call the method."""
        return getattr(self._object, method)(report, **arguments)

    def close(self) -> None:
        """Close the object."""
        self._object.close()


@dataclass
class LocalNode:
    """This machine. ``folder`` is the directory for the files of a run."""

    folder: Path
    name: str = "local"
    python: str = sys.executable
    factor: TimeoutFactor = field(default_factory=TimeoutFactor)
    _made: dict[str, Here] = field(default_factory=dict, init=False)

    def connect(self) -> None:
        """Do nothing: this process is on the node."""

    def facts(self) -> Mapping[str, str]:
        """Return the properties of this machine."""
        return facts.local()

    def inspect(self, run_id: str) -> Inspection:
        """Inspect this machine; there is only one clock."""
        found, same = inspection.here(), ClockDifference()
        return inspection.make(run_id, self.name, self.facts(), found, same)

    def kernel_messages(self) -> Messages:
        """Return none: other programs on this machine cause messages too."""
        return Messages()

    def reconnected(self) -> AbstractContextManager[None]:
        """Do nothing: this machine is not lost."""
        return nullcontext()

    def start(
        self,
        argv: Sequence[str | Path],
        *,
        log: Path,
        stdout: Path | int | None = None,
        stdin: int | None = None,
    ) -> process.Running:
        """Start a command."""
        return process.start(argv, log=log, stdout=stdout, stdin=stdin)

    def remote(self, path: str) -> Remote:
        """Make the object in this process, once."""
        if path not in self._made:
            self._made[path] = Here(path)
        return self._made[path]

    def push(self, source: Path, names: Sequence[Path] | None = None) -> Path:
        """Return the directory itself."""
        del names
        return source

    def pull(self, source: Path, target: Path) -> None:
        """Copy a directory."""
        if source.exists():
            files.copy_tree(source, target)

    def choose_ports(self, count: int) -> Sequence[int]:
        """Return zeros: the system chooses the ports."""
        return [0] * count

    def forward(self, ports: Sequence[int]) -> None:
        """Do nothing: the services listen on this machine."""

    def keep(self) -> None:
        """Do nothing: the services listen on this machine."""

    def testinfra(self) -> Sequence[str]:
        """Return the argument for the local backend."""
        return ("--hosts=local://",)

    def close(self) -> None:
        """Close the objects that were made."""
        while self._made:
            self._made.popitem()[1].close()
