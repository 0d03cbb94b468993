# SPDX-License-Identifier: Apache-2.0
"""A node over ssh: another machine, with the same bsdgate."""

import contextlib
import secrets
import socket
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from bsdgate.harness import identity, process
from bsdgate.harness.errors import InfrastructureError, UsageError
from bsdgate.harness.nodes import agent, archive, shell
from bsdgate.harness.nodes.address import Address
from bsdgate.harness.nodes.base import NodeLostError, Remote, ignore
from bsdgate.harness.nodes.connection import ALIAS, LOST, Connection, environment
from bsdgate.harness.nodes.installation import Installation

ALIVE: Final = 10.0
"""The number of seconds between two keepalive lines to the agent on the node."""
SILENCE: Final = 60.0
"""The number of seconds without a line after which the agent ends all that it has started."""
COMMAND_TIMEOUT: Final = 120.0
"""The maximum number of seconds for a command, on a node of usual speed."""
COPY_TIMEOUT: Final = 600.0
"""The maximum number of seconds to copy a directory, with a node of usual speed."""
LOG: Final = "ssh.log"
"""The log of ssh, in the directory of the logs."""
KEPT: Final = "connection.json"
"""The file, in a run directory, of a connection that outlives the run."""

_RUN_FOLDER: Final = "bsdgate.harness.nodes.run_folder:RunFolder"
_NOT_INSTALLED: Final = 44
_PROGRAM: Final = "bsdgate"
# Prints the installation of bsdgate; without one, the version of Python and the PATH.
_ASK: Final = """
PATH="$PATH:/usr/local/bin:$HOME/.local/bin"
export PATH
command -v "$1" >/dev/null && exec "$1" installation
for each in python3 python3.15 python3.14 python3.13 python3.12 python3.11; do command -v "$each" >/dev/null && "$each" --version && break; done
echo "PATH=$PATH"
exit 44
"""  # noqa: E501 - each line is a command


class SshNode:
    """A machine at an address.

    ``run`` is the run directory on this machine; the directory on the node has the same name. The
    log of ssh is in the directory ``logs``. ``program`` is the bsdgate command on the node.
    ``factor`` multiplies the time limits.
    """

    def __init__(
        self,
        address: Address,
        run: Path,
        logs: Path,
        program: str = _PROGRAM,
        *,
        factor: float = 1.0,
    ) -> None:
        self.log = logs / LOG
        self.name = address.name
        self._run = run
        self._logs = logs
        self._program = program
        self._factor = factor
        self.set_address(address)
        self._installation: Installation | None = None
        self._caller: agent.Caller | None = None
        self._folder: Path | None = None
        self._pushed = 0
        self._shares_loopback = False

    def set_address(self, address: Address) -> None:
        """Set the address of the node; ``connect`` uses it."""
        self.address = address
        self._connection = Connection(address, self.log, self._factor)

    @property
    def python(self) -> str:
        """The Python interpreter of bsdgate on the node."""
        return self.installation.python

    @property
    def installation(self) -> Installation:
        """The bsdgate that is installed on the node."""
        if self._installation is None:
            raise NodeLostError(f"the node {self.name} is not connected")
        return self._installation

    @property
    def folder(self) -> Path:
        """The directory of the run, in bsdgate's state directory on the node."""
        if self._folder is None:
            raise NodeLostError(f"the node {self.name} is not connected")
        return self._folder

    def connect(self) -> None:
        """Connect, check that the node has the same bsdgate, and make the directory of the run.

        :raises UsageError: no key is accepted, or the node has another bsdgate or none.
        :raises InfrastructureError: the node does not answer.
        """
        self._connection.open()
        try:
            self._installation = self._ask_installation()
            self._refuse_another()
            line = shell.command([*self._module("agent"), f"{SILENCE:g}"])
            running, stop = self._start(line, process.PIPE), agent.STOP_TIMEOUT * self._factor
            self._caller = agent.Caller(running, self.name, ALIVE, stop)
            folder = self.remote(_RUN_FOLDER).call("make", ignore, name=self._run.name)
            self._folder = Path(folder)
            self._shares_loopback = self._is_loopback_shared()
        except BaseException:
            self.close()
            raise

    def facts(self) -> Mapping[str, str]:
        """Return the properties of the node, and its URL."""
        facts: dict[str, str] = self.remote(_RUN_FOLDER).call("facts", ignore)
        return {**facts, "url": str(self.address)}

    def start(
        self,
        argv: Sequence[str | Path],
        *,
        log: Path,
        stdout: Path | int | None = None,
        stdin: int | None = None,
    ) -> process.Running:
        """Start a command."""
        if stdin is None:
            # ``tether`` ends the command when this pipe is closed, also by the end of this process.
            argv = [*self._module("tether"), self.folder / "lock", *argv]
        command = self._connection.argv(shell.command(argv))
        return process.start(command, log=log, stdout=stdout, stdin=process.PIPE, env=environment())

    def remote(self, path: str) -> Remote:
        """Return an object of the agent."""
        if self._caller is None:
            raise NodeLostError(f"the node {self.name} is not connected")
        return self._caller.remote(path)

    def push(self, source: Path, names: Sequence[Path] | None = None) -> Path:
        """Copy the files to a new directory on the node."""
        self._pushed += 1
        target = self.folder / "pushed" / str(self._pushed) / source.name
        line = shell.command([*self._module("archive"), "unpack", target])
        with tempfile.TemporaryFile(dir=self._logs) as packed:
            archive.pack(source, packed, names)
            packed.seek(0)
            with self._start(line, None) as unpacking:
                with contextlib.suppress(BrokenPipeError):
                    while chunk := packed.read(1 << 16):
                        unpacking.write(chunk)
                unpacking.close_input()
                self._finish(unpacking, COPY_TIMEOUT * self._factor)
        return target

    def pull(self, source: Path, target: Path) -> None:
        """Copy the regular files of a directory of the node."""
        line = shell.command([*self._module("archive"), "pack", source])
        with tempfile.TemporaryDirectory(dir=self._logs) as folder:
            packed = Path(folder) / "packed.tar"
            with self._start(line, packed) as packing:
                self._finish(packing, COPY_TIMEOUT * self._factor)
            with packed.open("rb") as file:
                archive.unpack(file, target)

    def choose_ports(self, count: int) -> Sequence[int]:
        """Return ports that are free on this machine; on the node they may be in use."""
        if self._shares_loopback:
            return [0] * count
        with contextlib.ExitStack() as stack:
            sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
            for each in sockets:
                each.bind(("127.0.0.1", 0))
            return [each.getsockname()[1] for each in sockets]

    def forward(self, ports: Sequence[int]) -> None:
        """Forward the ports, unless both machines share one loopback, as a jail and its host do."""
        if ports and not self._shares_loopback:
            self._connection.forward(ports)

    def keep(self) -> None:
        """Keep the connection; write connection.json to the run directory, to end it later."""
        self._connection.keep().save(self._run / KEPT)

    def testinfra(self) -> Sequence[str]:
        """Return the arguments for the ssh backend, which uses this connection."""
        return (
            f"--hosts=ssh://{ALIAS}?controlpersist=0",
            f"--ssh-config={self._connection.config}",
        )

    def close(self) -> None:
        """End the agent, which ends its processes and removes the directory; then disconnect."""
        try:
            if self._caller is not None:
                self._caller.close()
        finally:
            self._caller = None
            self._connection.close()

    def _module(self, name: str) -> list[str]:
        # Not -I: bsdgate may be in the user's site-packages. -P ignores the working directory.
        return [self.python, "-P", "-m", f"bsdgate.harness.nodes.{name}"]

    def _start(self, line: str, stdout: Path | int | None) -> process.Running:
        return process.start(
            self._connection.argv(line),
            log=self._connection.log,
            stdout=stdout,
            stdin=process.PIPE,
            env=environment(),
        )

    def _finish(self, running: process.Running, seconds: float) -> None:
        """Wait until one of our commands has succeeded.

        :raises NodeLostError: the connection is lost.
        :raises InfrastructureError: the command failed.
        """
        try:
            running.finish(seconds)
        except process.ProcessError as error:
            if error.exit_status == LOST:
                raise NodeLostError(
                    f"the node {self.name} does not answer: {error.message}"
                ) from error
            raise InfrastructureError(f"on the node {self.name}: {error.message}") from error

    def _ask_installation(self) -> Installation:
        with tempfile.TemporaryDirectory(dir=self._logs) as folder:
            output = Path(folder) / "installation"
            with self._start(shell.script(_ASK, self._program), output) as asking:
                asking.close_input()
                status = asking.wait(COMMAND_TIMEOUT * self._factor)
                lines = asking.last_lines()
            text = output.read_text(errors="replace").strip()
        if status == 0:
            return self._parse(text)
        if status == LOST:
            raise NodeLostError(f"the node {self.address} does not answer:\n{lines}")
        if status == _NOT_INSTALLED:
            *version, path = text.splitlines()
            python = version[-1] if version else "no Python"
            raise UsageError(
                f"the node {self.address} has no {self._program} on {path}, and has {python}",
                self._install_hint,
            )
        how = "did not end" if status is None else f"ended with status {status}"
        raise UsageError(
            f"on the node {self.address}, `{self._program} installation` {how}:\n{lines}",
            self._install_hint,
        )

    def _parse(self, text: str) -> Installation:
        """Return the installation that a command on the node printed, without any other output."""
        try:
            return Installation.parse(text)
        except ValueError:
            first = text.partition("\n")[0][:200]
        raise UsageError(
            f"on the node {self.address}, `{self._program} installation` printed {first!r} first",
            "change the startup files of the login shell on the node: without a terminal they must"
            " print nothing",
        )

    def _refuse_another(self) -> None:
        own, there = Installation.own(), self.installation
        if there.sha256 != own.sha256:
            raise UsageError(
                f"the node {self.address} has bsdgate {there.version}, but this machine has"
                f" {own.version}: the SHA-256 of bsdgate's files is {there.sha256:.12} on the node,"
                f" and {own.sha256:.12} on this machine",
                self._install_hint,
            )

    @property
    def _install_hint(self) -> str:
        return (
            f"on the node, install bsdgate {identity.version()} with its extra `services`, by"
            " Python 3.11 or newer, and put the command bsdgate on the PATH of the user's login"
            " shell"
        )

    def _is_loopback_shared(self) -> bool:
        """Return whether the node and this machine share one loopback, as a jail and its host do.

        The node listens on a port, and this process sends a token to the same port of this machine.
        """
        folder = self.remote(_RUN_FOLDER)
        port: int = folder.call("listen", ignore)
        token = secrets.token_hex(16)
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                connection.sendall(token.encode())
                received: str = folder.call("receive", ignore)
        except OSError:
            return False
        finally:
            folder.call("stop_listening", ignore)
        return received == token
