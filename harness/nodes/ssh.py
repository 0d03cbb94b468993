# SPDX-License-Identifier: Apache-2.0
"""A machine that is reached over ssh, and has the same bsdgate, as a node."""

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
"""Seconds between two signs of life that the agent on the node gets."""
SILENCE: Final = 60.0
"""Seconds without a sign of life after which the agent ends what it has started."""
COMMAND_TIMEOUT: Final = 120.0
COPY_TIMEOUT: Final = 600.0
LOG: Final = "ssh.log"
"""The log of ssh, among the logs of the run."""
KEPT: Final = "connection.json"
"""What a run directory has of a connection that outlives the run."""

_RUN_FOLDER: Final = "bsdgate.harness.nodes.run_folder:RunFolder"
_NOT_INSTALLED: Final = 44
_PROGRAM: Final = "bsdgate"
# Prints the installation of bsdgate; where there is none, the PATH and the version of Python.
_ASK: Final = """
PATH="$PATH:/usr/local/bin:$HOME/.local/bin"
export PATH
command -v "$1" >/dev/null && exec "$1" installation
for each in python3 python3.15 python3.14 python3.13 python3.12 python3.11; do command -v "$each" >/dev/null && "$each" --version && break; done
echo "PATH=$PATH"
exit 44
"""  # noqa: E501 - a line of it is a command


class SshNode:
    """A machine at an address.

    ``run`` is the directory of the run here: its name is the name of the folder there. ``logs``
    takes the log of ssh. ``program`` is the bsdgate command there.
    """

    def __init__(self, address: Address, run: Path, logs: Path, program: str = _PROGRAM) -> None:
        self.address = address
        self.log = logs / LOG
        self.name = address.name
        self._run = run
        self._logs = logs
        self._program = program
        self._connection = Connection(address, self.log)
        self._installation: Installation | None = None
        self._caller: agent.Caller | None = None
        self._folder: Path | None = None
        self._pushed = 0
        self._shares_loopback = False

    @property
    def python(self) -> str:
        """The Python that runs bsdgate there."""
        return self.installation.python

    @property
    def installation(self) -> Installation:
        """The bsdgate that is installed there."""
        if self._installation is None:
            raise NodeLostError(f"the node {self.name} is not connected")
        return self._installation

    @property
    def folder(self) -> Path:
        """The folder of the run below bsdgate's state folder there."""
        if self._folder is None:
            raise NodeLostError(f"the node {self.name} is not connected")
        return self._folder

    def connect(self) -> None:
        """Connect, check that bsdgate is the same there, and make the folder of the run.

        :raises UsageError: no key is accepted, or there is another bsdgate or none.
        :raises InfrastructureError: the node does not answer.
        """
        self._connection.open()
        try:
            self._installation = self._ask_installation()
            self._refuse_another()
            line = shell.command([*self._module("agent"), f"{SILENCE:g}"])
            self._caller = agent.Caller(self._start(line, process.PIPE), self.name, ALIVE)
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
            # The command has no input, but this end of one shows it that this process lives.
            argv = [*self._module("tether"), self.folder / "lock", *argv]
        command = self._connection.argv(shell.command(argv))
        return process.start(command, log=log, stdout=stdout, stdin=process.PIPE, env=environment())

    def remote(self, path: str) -> Remote:
        """Return an object of the agent there."""
        if self._caller is None:
            raise NodeLostError(f"the node {self.name} is not connected")
        return self._caller.remote(path)

    def push(self, source: Path, names: Sequence[Path] | None = None) -> Path:
        """Copy the files into a new folder of the run there."""
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
                self._finish(unpacking, COPY_TIMEOUT)
        return target

    def pull(self, source: Path, target: Path) -> None:
        """Copy the regular files of a folder there."""
        line = shell.command([*self._module("archive"), "pack", source])
        with tempfile.TemporaryDirectory(dir=self._logs) as folder:
            packed = Path(folder) / "packed.tar"
            with self._start(line, packed) as packing:
                self._finish(packing, COPY_TIMEOUT)
            with packed.open("rb") as file:
                archive.unpack(file, target)

    def choose_ports(self, count: int) -> Sequence[int]:
        """Return ports that are free here; they may be in use there, which starting there finds."""
        if self._shares_loopback:
            return [0] * count
        with contextlib.ExitStack() as stack:
            sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
            for each in sockets:
                each.bind(("127.0.0.1", 0))
            return [each.getsockname()[1] for each in sockets]

    def forward(self, ports: Sequence[int]) -> None:
        """Forward the ports, unless the loopback there is the one here, as in a jail."""
        if ports and not self._shares_loopback:
            self._connection.forward(ports)

    def keep(self) -> None:
        """Leave the connection, and write down in the run directory how it is ended."""
        self._connection.keep().save(self._run / KEPT)

    def testinfra(self) -> Sequence[str]:
        """Name the ssh backend, which goes through this connection."""
        return (
            f"--hosts=ssh://{ALIAS}?controlpersist=0",
            f"--ssh-config={self._connection.config}",
        )

    def close(self) -> None:
        """End the agent, which ends what it has started and removes the folder, and disconnect."""
        try:
            if self._caller is not None:
                self._caller.close()
        finally:
            self._caller = None
            self._connection.close()

    def _module(self, name: str) -> list[str]:
        # Not -I: bsdgate may be installed for the user alone. The working folder has no part in it.
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
        """Wait for the good end of a command of ours.

        :raises NodeLostError: the connection is gone.
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
                status, said = asking.wait(COMMAND_TIMEOUT), asking.last_lines()
            text = output.read_text(errors="replace").strip()
        if status == 0:
            return self._parse(text)
        if status == LOST:
            raise NodeLostError(f"the node {self.address} does not answer:\n{said}")
        if status == _NOT_INSTALLED:
            *version, path = text.splitlines()
            python = version[-1] if version else "no Python"
            raise UsageError(
                f"the node {self.address} has no {self._program} on {path}, and has {python}",
                self._install_hint,
            )
        how = "did not end" if status is None else f"ended with status {status}"
        raise UsageError(
            f"on the node {self.address}, `{self._program} installation` {how}:\n{said}",
            self._install_hint,
        )

    def _parse(self, text: str) -> Installation:
        """Return the installation that a command there has printed, and nothing else."""
        try:
            return Installation.parse(text)
        except ValueError:
            first = text.partition("\n")[0][:200]
        raise UsageError(
            f"on the node {self.address}, the output of a command begins with {first!r}",
            "let the startup files of the login shell there print nothing where it has no terminal",
        )

    def _refuse_another(self) -> None:
        own, there = Installation.own(), self.installation
        if there.sha256 != own.sha256:
            raise UsageError(
                f"the node {self.address} has bsdgate {there.version}, and this is {own.version}:"
                f" the SHA-256 of its files is {there.sha256:.12} there, and {own.sha256:.12} here",
                self._install_hint,
            )

    @property
    def _install_hint(self) -> str:
        return (
            f"install bsdgate {identity.version()} with its extra `cloud` there, by Python 3.11 or"
            " newer, and put its command on the PATH of the user's login shell"
        )

    def _is_loopback_shared(self) -> bool:
        """Whether what listens on loopback there listens on loopback here, as in a jail.

        The node listens there; what is sent to the same port here arrives there only if it is so.
        """
        folder = self.remote(_RUN_FOLDER)
        port: int = folder.call("listen", ignore)
        token = secrets.token_hex(16)
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                connection.sendall(token.encode())
                heard: str = folder.call("hear", ignore)
        except OSError:
            return False
        finally:
            folder.call("stop_listening", ignore)
        return heard == token
