# SPDX-License-Identifier: Apache-2.0
"""The interface of a node: the machine that a deployment runs on.

The runners of the tests do not run on the node, but on this machine, the controller.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from bsdgate.harness import process
from bsdgate.harness.errors import InfrastructureError
from bsdgate.harness.manifest import Inspection
from bsdgate.harness.nodes.kernel import Messages

Message = Mapping[str, Any]
"""A JSON object that a call on the node sends before its result."""
Report = Callable[[Message], None]
"""Receives the messages of a call."""


def ignore(message: Message) -> None:
    """Ignore a message."""
    del message


class NodeLostError(InfrastructureError):
    """The node no longer answers."""


@dataclass(frozen=True)
class TimeoutFactor:
    """The factor for time limits that wait for a node, and how it was determined."""

    value: float = 1.0
    source: str = "the node is this machine"

    @classmethod
    def given(cls, factor: float) -> "TimeoutFactor":
        """Return the factor that the user chose by an option or in the profile."""
        return cls(factor, "given")

    @classmethod
    def measured(cls, there: float, here: float) -> "TimeoutFactor":
        """Return the factor by the seconds of one benchmark on the node and on this machine."""
        source = f"measured: imports take {there:.2f} s on the node, {here:.2f} s on this machine"
        return cls(max(1.0, round(there / here, 1)), source)

    def facts(self) -> dict[str, str]:
        """Return the factor as facts of the node."""
        return {"timeout_factor": f"{self.value:g}", "timeout_factor_source": self.source}


def report_factor(factor: TimeoutFactor, report: Callable[[str], None]) -> None:
    """Report a factor that is not 1, and how it was determined."""
    if factor.value != 1:
        report(f"time limits are multiplied by {factor.value:g} ({factor.source})")


class Remote(Protocol):
    """An object on the node. Arguments and results of its methods are JSON.

    The object is closed together with the node, and ends all processes that it has started.
    """

    def call(self, method: str, report: Report, **arguments: Any) -> Any:
        """Call a method on the node and return its result; ``report`` receives the messages.

        :raises BsdgateError: the method raised it.
        :raises NodeLostError: the node does not answer.
        """


class Node(Protocol):
    """A machine that a deployment runs on. ``connect`` is called first."""

    @property
    def name(self) -> str:
        """The name of the node in the evidence."""

    @property
    def python(self) -> str:
        """The path, on the node, of the Python interpreter that can import bsdgate."""

    @property
    def factor(self) -> TimeoutFactor:
        """The factor for time limits that wait for the node; ``connect`` can measure it."""

    @property
    def folder(self) -> Path:
        """The directory, on the node, for the files of the run."""

    def connect(self) -> None:
        """Connect to the node; it has the same bsdgate then.

        :raises BsdgateError: the node cannot be used.
        """

    def facts(self) -> Mapping[str, str]:
        """Return the properties of the node (``bsdgate.harness.nodes.facts``).

        :raises NodeLostError: the node does not answer.
        """

    def inspect(self, run_id: str) -> Inspection:
        """Return what must not change during a run, and the difference between the clocks.

        :raises InfrastructureError: the packages cannot be listed.
        :raises NodeLostError: the node does not answer.
        """

    def kernel_messages(self) -> Messages:
        """Return the messages of the kernel since the last call; the first call returns none.

        Messages that cannot be read, for example of a lost node, are missing.
        """

    def reconnected(self) -> AbstractContextManager[None]:
        """Connect to a lost node again, only to inspect it in the block.

        :raises BsdgateError: the node does not answer, or cannot be used.
        """

    def start(
        self,
        argv: Sequence[str | Path],
        *,
        log: Path,
        stdout: Path | int | None = None,
        stdin: int | None = None,
    ) -> process.Running:
        """Start a command on the node.

        ``log``, ``stdout`` and ``stdin`` are as in ``process.start``: files of this machine. The
        returned process and the command end together. A command with an input must end when its
        input ends: on another machine it cannot be ended in another way.
        """

    def remote(self, path: str) -> Remote:
        """Return an object of bsdgate's class ``path`` (``module:Class``) on the node.

        The first call makes the object; all calls use the same object.
        """

    def push(self, source: Path, names: Sequence[Path] | None = None) -> Path:
        """Copy a directory of this machine to the node; return its path on the node.

        ``names`` are relative paths of the files and links to copy; by default all files.
        """

    def pull(self, source: Path, target: Path) -> None:
        """Copy a directory of the node into the directory ``target`` of this machine.

        If there is no such directory on the node, nothing is copied.
        """

    def choose_ports(self, count: int) -> Sequence[int]:
        """Return ports for ``forward``; zeros if each service can use any free port of the node.

        :raises InfrastructureError: there are not enough ports.
        """

    def forward(self, ports: Sequence[int]) -> None:
        """Make these loopback ports of the node answer on the same ports of this machine.

        :raises InfrastructureError: a port is in use on this machine.
        """

    def keep(self) -> None:
        """Let the forwarded ports outlive this process; connection.json is needed to end them."""

    def testinfra(self) -> Sequence[str]:
        """Return the arguments of pytest-testinfra for the node."""

    def close(self) -> None:
        """End the connection and all processes started through it. A second call is harmless."""
