# SPDX-License-Identifier: Apache-2.0
"""A node over ssh: another machine, which has the same bsdgate or gets it."""

import contextlib
import secrets
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from bsdgate.harness import identity, process
from bsdgate.harness.errors import InfrastructureError, UsageError
from bsdgate.harness.manifest import Inspection
from bsdgate.harness.nodes import agent, archive, clock, inspection, kernel, shell, speed
from bsdgate.harness.nodes.address import Address
from bsdgate.harness.nodes.base import NodeLostError, Remote, TimeoutFactor, ignore
from bsdgate.harness.nodes.bootstrap.bootstrap import Bootstrap, Progress
from bsdgate.harness.nodes.bootstrap.plan import Needs, Plan
from bsdgate.harness.nodes.connection import ALIAS, LOST, Connection, environment
from bsdgate.harness.nodes.installation import Installation
from bsdgate.harness.nodes.kernel import Messages

ALIVE: Final = 10.0
"""The number of seconds between two keepalive lines to the agent on the node."""
SILENCE: Final = 60.0
"""The number of seconds without a line after which the agent ends all that it has started."""
COMMAND_TIMEOUT: Final = 120.0
"""The maximum number of seconds for a command, on a node of usual speed."""
COPY_TIMEOUT: Final = 600.0
"""The maximum number of seconds to copy a directory, with a node of usual speed."""
REBOOT_TIMEOUT: Final = 60.0
"""The maximum number of seconds in which a lost node of usual speed must accept a connection."""
LOG: Final = "ssh.log"
"""The log of ssh, in the directory of the logs."""
KEPT: Final = "connection.json"
"""The file, in a run directory, of a connection that outlives the run."""

_RUN_FOLDER: Final = "bsdgate.harness.nodes.run_folder:RunFolder"
_NOT_INSTALLED: Final = 44
_POLL: Final = 1.0
_PROGRAM: Final = "bsdgate"
_FACTOR: Final = 1.0
"""The factor for time limits before it is measured."""
# Prints the installation of bsdgate; without one, the version of Python and the PATH.
_ASK: Final = """
PATH="$PATH:/usr/local/bin:$HOME/.local/bin"
export PATH
command -v "$1" >/dev/null && exec "$1" installation
for each in python3 python3.15 python3.14 python3.13 python3.12 python3.11; do command -v "$each" >/dev/null && "$each" --version && break; done
echo "PATH=$PATH"
exit 44
"""  # noqa: E501 - each line is a command


class NotInstalledError(UsageError):
    """The node does not have the same bsdgate on its PATH."""


class SshNode:
    """A machine at an address.

    ``run`` is the run directory on this machine; the directory on the node has the same name. The
    log of ssh is in the directory ``logs``. ``program`` is the bsdgate command on the node.
    With ``needs``, a node without the same bsdgate gets an environment, else it is refused.
    ``factor`` multiplies the time limits; by default, and with ``needs``, it is measured when the
    node is connected. ``progress`` receives lines for the user.
    """

    def __init__(
        self,
        address: Address,
        run: Path,
        logs: Path,
        program: str = _PROGRAM,
        *,
        factor: float | None = None,
        needs: Needs | None = None,
        progress: Progress = lambda _: None,
    ) -> None:
        self.log = logs / LOG
        self.name = address.name
        self._run = run
        self._logs = logs
        self._program = program
        self._given = None if factor is None else TimeoutFactor.given(factor)
        self._measured: TimeoutFactor | None = None
        self._needs = needs
        self._progress = progress
        self._source: str | None = None
        self.set_address(address)
        self._installation: Installation | None = None
        self._caller: agent.Caller | None = None
        self._folder: Path | None = None
        self._pushed = 0
        self._kernel_buffer: Sequence[str] | None = None
        self._shares_loopback = False

    def set_address(self, address: Address) -> None:
        """Set the address of the node; ``connect`` uses it."""
        self.address = address
        self._connection = Connection(address, self.log, self.factor.value)

    @property
    def factor(self) -> TimeoutFactor:
        """The factor for time limits: the given or the measured one."""
        return self._given or self._measured or TimeoutFactor(_FACTOR, "not measured yet")

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
        """Connect, find or make the same bsdgate there, and make the directory of the run.

        :raises UsageError: no key is accepted, or the node has another bsdgate and gets none.
        :raises InfrastructureError: the node does not answer, or does not get bsdgate.
        """
        self.reach()
        try:
            self._installation = self._find_installation()
            self._start_agent()
            if self._given is None and self._needs is not None:
                self._measure_factor()
            folder = self.remote(_RUN_FOLDER).call("make", ignore, name=self._run.name)
            self._folder = Path(folder)
            self._shares_loopback = self._is_loopback_shared()
        except BaseException:
            self.close()
            raise

    def reach(self) -> None:
        """Connect to sshd on the node, and start nothing there.

        :raises UsageError: no key is accepted.
        :raises InfrastructureError: the node does not answer.
        """
        self._connection.open()

    def has_same_bsdgate(self) -> bool:
        """Return whether the node has the same bsdgate on its PATH, after ``reach``."""
        try:
            self._ask_installation(shell.script(_ASK, self._program))
        except NotInstalledError:
            return False
        return True

    def look(self, needs: Needs) -> Plan:
        """Return what a node has and lacks, after ``reach``; nothing is changed."""
        return self._bootstrap(needs).look()

    def facts(self) -> Mapping[str, str]:
        """Return the properties of the node, its URL, and the source of its compiled packages."""
        facts: dict[str, str] = self.remote(_RUN_FOLDER).call("facts", ignore)
        source = {} if self._source is None else {"packages_from": self._source}
        return {**facts, **source, "url": str(self.address)}

    def inspect(self, run_id: str) -> Inspection:
        """Inspect the node through its agent."""
        facts, folder = self.facts(), self.remote(_RUN_FOLDER)
        difference = clock.difference(lambda: float(folder.call("time", ignore)))
        found = folder.call("inspect", ignore)
        return inspection.make(run_id, self.name, facts, found, difference)

    def kernel_messages(self) -> Messages:
        """Return the new messages in the kernel's buffer, if the user may read the buffer."""
        try:
            found = self.remote(_RUN_FOLDER).call("kernel_buffer", ignore)
        except NodeLostError:
            return Messages()
        before, lines = self._kernel_buffer, found["lines"]
        if lines is None:
            return Messages(user=found["user"])
        self._kernel_buffer = lines
        added = () if before is None else kernel.added(before, lines)
        return Messages(added, user=found["user"])

    @contextlib.contextmanager
    def reconnected(self) -> Iterator[None]:
        """Connect with a new agent, which does not use the directory of the run."""
        self._disconnect()
        deadline = time.monotonic() + REBOOT_TIMEOUT * self.factor.value
        while True:
            try:
                self._connection.open()
                break
            except InfrastructureError:
                if time.monotonic() > deadline or not self._may_answer():
                    raise
            # No event reports that sshd of a rebooted machine accepts connections again.
            time.sleep(_POLL)
        try:
            self._start_agent()
            yield
        finally:
            self._disconnect()

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
                self._finish(unpacking, COPY_TIMEOUT * self.factor.value)
        return target

    def pull(self, source: Path, target: Path) -> None:
        """Copy the regular files of a directory of the node."""
        line = shell.command([*self._module("archive"), "pack", source])
        with tempfile.TemporaryDirectory(dir=self._logs) as folder:
            packed = Path(folder) / "packed.tar"
            with self._start(line, packed) as packing:
                self._finish(packing, COPY_TIMEOUT * self.factor.value)
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
        self._disconnect()

    def _may_answer(self) -> bool:
        """Return whether a lost node may answer later, for example after a reboot."""
        return True

    def _disconnect(self) -> None:
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

    def _start_agent(self) -> None:
        line = shell.command([*self._module("agent"), f"{SILENCE:g}"])
        running, stop = self._start(line, process.PIPE), agent.STOP_TIMEOUT * self.factor.value
        self._caller = agent.Caller(running, self.name, ALIVE, stop)

    def _measure_factor(self) -> None:
        """Measure the speed of the node, and multiply the time limits of the connection too."""
        there: float = self.remote(_RUN_FOLDER).call("speed", ignore)
        self._measured = TimeoutFactor.measured(there, speed.seconds())
        self._connection.factor = self._measured.value
        if self._caller is not None:
            self._caller.stop = agent.STOP_TIMEOUT * self._measured.value

    def _find_installation(self) -> Installation:
        """Return the bsdgate on the node's PATH, or in an environment that a bootstrap made."""
        try:
            return self._ask_installation(shell.script(_ASK, self._program))
        except NotInstalledError as error:
            if self._program != _PROGRAM:
                raise
            reason = error
        if self._needs is None:
            python = self._find_environment()
            if python is None:
                raise reason
        else:
            made = self._bootstrap(self._needs).make()
            python, self._source = made.python, made.source
        return self._ask_installation(
            shell.command([python, "-P", "-m", "bsdgate.harness", "installation"])
        )

    def _find_environment(self) -> str | None:
        """Return the interpreter of an environment with this bsdgate; None without one."""
        try:
            return self._bootstrap(None).find()
        except NodeLostError:
            raise
        except InfrastructureError:
            # The node cannot be probed, so no bootstrap was possible there.
            return None

    def _bootstrap(self, needs: Needs | None) -> Bootstrap:
        factor = self.factor.value
        return Bootstrap(self._connection, self.name, needs, self._progress, factor)

    def _ask_installation(self, line: str) -> Installation:
        """Return the installation that a command line on the node prints.

        :raises NotInstalledError: there is none, or not the same bsdgate.
        """
        answer = self._connection.call(line, COMMAND_TIMEOUT * self.factor.value)
        if answer.status == 0:
            found = self._parse(answer.output)
            self._refuse_another(found)
            return found
        if answer.status == LOST:
            raise NodeLostError(f"the node {self.address} does not answer:\n{answer.last_lines}")
        if answer.status == _NOT_INSTALLED:
            *version, path = answer.output.splitlines()
            python = version[-1] if version else "no Python"
            raise NotInstalledError(
                f"the node {self.address} has no {self._program} on {path}, and has {python}",
                self._install_hint,
            )
        raise NotInstalledError(
            f"on the node {self.address}, `{self._program} installation` {answer.ending}:\n"
            f"{answer.last_lines}",
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

    def _refuse_another(self, there: Installation) -> None:
        own = Installation.own()
        if there.sha256 != own.sha256:
            raise NotInstalledError(
                f"the node {self.address} has bsdgate {there.version}, but this machine has"
                f" {own.version}: the SHA-256 of bsdgate's files is {there.sha256:.12} on the node,"
                f" and {own.sha256:.12} on this machine",
                self._install_hint,
            )

    @property
    def _install_hint(self) -> str:
        return (
            f"start a run or a cloud on the node, which copies bsdgate {identity.version()} to it;"
            " or install the same bsdgate there with its extra `services`, by Python 3.11 or newer,"
            " on the PATH of the user's login shell"
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
