# SPDX-License-Identifier: Apache-2.0
"""A node without a machine."""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bsdgate.harness import files, process
from bsdgate.harness.manifest import ClockDifference, Inspection
from bsdgate.harness.nodes.base import NodeLostError, Remote, Report, TimeoutFactor
from bsdgate.harness.nodes.kernel import Messages


class FakeRemote:
    """An object in this process, called through JSON like a remote object."""

    def __init__(self, node: "FakeNode", made: Any) -> None:
        self.node = node
        self.made = made

    def call(self, method: str, report: Report, **arguments: Any) -> Any:
        """Call the method, unless the node is lost."""
        self.node.check_connected()
        given = json.loads(json.dumps(arguments))
        result = getattr(self.made, method)(
            lambda message: report(json.loads(json.dumps(message))), **given
        )
        self.node.check_connected()
        return json.loads(json.dumps(result))


class FakeNode:
    """A node with directories of this machine; ``lose`` cuts the connection.

    ``objects`` are its objects, by the path of their class. ``properties`` are its facts.
    ``packages`` are its packages. ``forwarded`` are the ports that were forwarded. ``booted`` is
    the time of its boot, ``messages`` are those of its kernel. ``reboots``: whether the node can be
    connected again after it was lost.
    """

    name = "fake"
    python = "/usr/local/bin/python3"

    def __init__(self, folder: Path, objects: Mapping[str, Any] | None = None) -> None:
        self.folder = folder
        self.objects = dict(objects or {})
        self.properties = {"system": "Other", "architecture": "amd64", "utc_offset": "+0000"}
        self.packages: dict[str, str] = {}
        self.clock = ClockDifference()
        self.booted = datetime.now(UTC) - timedelta(hours=1)
        self.reboots = False
        self.messages = Messages()
        self.forwarded: list[int] = []
        self.pushed: dict[Path, Sequence[Path] | None] = {}
        self.factor = TimeoutFactor()
        self.connected = False
        self.kept = False
        self.closed = 0

    def lose(self) -> None:
        """Cut the connection."""
        self.connected = False

    def check_connected(self) -> None:
        """Raise NodeLostError if the connection is cut or was never made."""
        if not self.connected:
            raise NodeLostError(f"the node {self.name} does not answer")

    def connect(self) -> None:
        """Connect."""
        self.connected = True

    def facts(self) -> Mapping[str, str]:
        """Return the properties."""
        self.check_connected()
        return dict(self.properties)

    def inspect(self, run_id: str) -> Inspection:
        """Return the properties and the packages."""
        return Inspection(
            run_id=run_id,
            name=self.name,
            taken=datetime.now(UTC),
            booted=self.booted,
            clock=self.clock,
            facts=dict(self.facts()),
            packages=dict(self.packages),
            repositories=(),
        )

    def kernel_messages(self) -> Messages:
        """Return the messages, once."""
        found, self.messages = self.messages, Messages()
        return found

    @contextlib.contextmanager
    def reconnected(self) -> Iterator[None]:
        """Connect in the block, if the node reboots."""
        if not self.reboots:
            raise NodeLostError(f"the node {self.name} does not answer")
        self.booted = datetime.now(UTC)
        self.connected = True
        yield
        self.connected = False

    def start(
        self,
        argv: Sequence[str | Path],
        *,
        log: Path,
        stdout: Path | int | None = None,
        stdin: int | None = None,
    ) -> process.Running:
        """Start the command on this machine."""
        self.check_connected()
        return process.start(argv, log=log, stdout=stdout, stdin=stdin)

    def remote(self, path: str) -> Remote:
        """Return the object of a class."""
        return FakeRemote(self, self.objects[path])

    def push(self, source: Path, names: Sequence[Path] | None = None) -> Path:
        """Copy a directory to the directory of the node; ``pushed`` records the names."""
        self.check_connected()
        self.pushed[source] = names
        target = self.folder / "pushed" / source.name
        target.parent.mkdir(exist_ok=True)
        files.copy_tree(source, target)
        return target

    def pull(self, source: Path, target: Path) -> None:
        """Copy a directory."""
        self.check_connected()
        target.mkdir(parents=True, exist_ok=True)
        if source.exists():
            files.copy_tree(source, target)

    def choose_ports(self, count: int) -> Sequence[int]:
        """Return zeros: the system chooses the ports."""
        return [0] * count

    def forward(self, ports: Sequence[int]) -> None:
        """Record the ports."""
        self.check_connected()
        self.forwarded += ports

    def keep(self) -> None:
        """Record the call."""
        self.check_connected()
        self.kept = True

    def testinfra(self) -> Sequence[str]:
        """Return the argument for the local backend."""
        return ("--hosts=local://",)

    def close(self) -> None:
        """Count the calls."""
        self.connected = False
        self.closed += 1
