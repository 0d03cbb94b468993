# SPDX-License-Identifier: Apache-2.0
"""The seam between a run and the machine that its deployment runs on.

Commands and calls run on the node; the runners of the tests stay on this machine, the controller.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from bsdgate.harness import process
from bsdgate.harness.errors import InfrastructureError

Message = Mapping[str, Any]
"""A JSON object that a call on the node sends while it works."""
Report = Callable[[Message], None]
"""Takes the messages of a call."""


def ignore(message: Message) -> None:
    """Take a message and do nothing."""
    del message


class NodeLostError(InfrastructureError):
    """The node does not answer any more."""


class Remote(Protocol):
    """An object on the node. Arguments and results of its methods are JSON.

    It is closed with the node: then it ends all that it has started.
    """

    def call(self, method: str, report: Report, **arguments: Any) -> Any:
        """Call a method there and return its result; ``report`` takes its messages.

        :raises BsdgateError: the method raised it.
        :raises NodeLostError: the node does not answer.
        """


class Node(Protocol):
    """A machine that a deployment runs on. ``connect`` comes first."""

    @property
    def name(self) -> str:
        """The name of the node, as the evidence names it."""

    @property
    def python(self) -> str:
        """The path, on the node, of the Python interpreter that has bsdgate."""

    @property
    def folder(self) -> Path:
        """The folder, on the node, in which a run keeps its files."""

    def connect(self) -> None:
        """Connect to the node, and check that the same bsdgate is there.

        :raises BsdgateError: the node cannot be used.
        """

    def facts(self) -> Mapping[str, str]:
        """Return the properties of the node (``bsdgate.harness.nodes.facts``).

        :raises NodeLostError: the node does not answer.
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

        ``log``, ``stdout`` and ``stdin`` are as for ``process.start``: files of this machine. The
        process that is returned ends when the command ends; ending it ends the command. A command
        with an input must end when that ends: on another machine this is how it is ended.
        """

    def remote(self, path: str) -> Remote:
        """Return an object of bsdgate's class ``path`` (``module:Class``) on the node.

        It is made on the first call, and is the same one after that.
        """

    def push(self, source: Path, names: Sequence[Path] | None = None) -> Path:
        """Bring a folder of this machine to the node; return its path there.

        ``names`` are the files and links of it that are needed, relative to it; by default all.
        """

    def pull(self, source: Path, target: Path) -> None:
        """Copy a folder of the node into the folder ``target`` of this machine.

        A folder that does not exist there is an empty one.
        """

    def choose_ports(self, count: int) -> Sequence[int]:
        """Return ports that ``forward`` can be given; zeros, if any free port of the node will do.

        :raises InfrastructureError: there are none.
        """

    def forward(self, ports: Sequence[int]) -> None:
        """Make these loopback ports of the node answer on the same ports of this machine.

        :raises InfrastructureError: a port is in use here.
        """

    def keep(self) -> None:
        """Let the forwarded ports outlive this process; ``KEPT`` in a run directory ends them."""

    def testinfra(self) -> Sequence[str]:
        """Return the arguments with which pytest-testinfra reaches the node."""

    def close(self) -> None:
        """End the connection, and what it has started. Closing it again is harmless."""
