# SPDX-License-Identifier: Apache-2.0
"""A connection to a node by OpenSSH's client, shared by all commands and forwarded ports.

The client is a control master: it uses the user's configuration, keys, agent and known hosts, never
prompts, and ends when the server no longer answers. Its socket is in a private directory with a
short path, because the path of a socket is limited to about a hundred bytes.
"""

import contextlib
import json
import math
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Final, Self

import psutil

from bsdgate.harness import files, folders, process
from bsdgate.harness.errors import InfrastructureError, UsageError
from bsdgate.harness.nodes.address import Address

ALIVE_SECONDS: Final = 10
"""The number of seconds of silence after which ssh sends a keepalive request."""
ALIVE_COUNT: Final = 3
"""The number of keepalive requests without an answer after which the connection is lost."""
CONNECT_TIMEOUT: Final = 60.0
"""The maximum number of seconds to connect to a node of usual speed."""
ANSWER_TIMEOUT: Final = 30.0
"""The part of it for the first answer of the server."""
FORWARD_TIMEOUT: Final = 60.0
"""The maximum number of seconds to forward ports of a node of usual speed."""
LOST: Final = 255
"""The exit status of ssh if the connection has failed, and not the command."""
ALIAS: Final = "bsdgate-node"
"""The name of the node in the file ``config``, for other programs."""

_CHUNK: Final = 1 << 16
_CONNECTED: Final = b"connected"
_PREFIX: Final = "bsdgate-ssh-"
_SOCKET_MAX: Final = 80
"""The maximum bytes of the socket's path: 104 on FreeBSD, minus 17 for ssh's temporary name."""
_PLAIN: Final = re.compile(r"[A-Za-z0-9/._-]+")
"""A path that needs no quotes in an ssh configuration file."""
_SHORT_PLACES: Final = ("/tmp", "/var/tmp")  # noqa: S108 - a folder with a random name is made

# ssh uses the first value of an option: these override those in the user's files.
_OPTIONS: Final[Mapping[str, str]] = {
    "BatchMode": "yes",
    "ClearAllForwardings": "yes",
    "ControlPersist": "no",
    "EscapeChar": "none",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "PermitLocalCommand": "yes",
    "RemoteCommand": "none",
    "RequestTTY": "no",
    "ServerAliveCountMax": str(ALIVE_COUNT),
    "ServerAliveInterval": str(ALIVE_SECONDS),
}
# Only through the master.
_CLIENT_OPTIONS: Final[Mapping[str, str]] = {
    "BatchMode": "yes",
    "ControlMaster": "no",
    "ProxyCommand": "false",
    "RemoteCommand": "none",
    "RequestTTY": "no",
}

Refusal = UsageError | InfrastructureError
"""The error of a connection that fails."""

_CHANGED_KEY: Final = """\
find out why the host key changed; if the change is intended, remove the old key with
`ssh-keygen -R {host}`, and connect once by hand: {by_hand}"""
_UNKNOWN_KEY: Final = "connect once by hand, and compare the fingerprint of the host key: {by_hand}"
_NO_KEY: Final = """\
bsdgate does not ask for passwords: copy your public key to the node (ssh-copy-id), and load the
key into ssh-agent if it has a passphrase; this must connect without a question: {by_hand}"""
# A part of ssh's output, with the error and the hint; the first part that is found counts.
_HINTS: Final[Sequence[tuple[str, type[UsageError] | type[InfrastructureError], str]]] = (
    ("IDENTIFICATION HAS CHANGED", UsageError, _CHANGED_KEY),
    ("Host key verification failed", UsageError, _UNKNOWN_KEY),
    ("Permission denied", UsageError, _NO_KEY),
    ("Could not resolve hostname", UsageError, "check the name of the host: {by_hand}"),
    ("Bad configuration option", UsageError, "correct the configuration file of ssh"),
    (
        "Connection refused",
        InfrastructureError,
        "start sshd on the node, or give its port: {by_hand}",
    ),
)
_HINT: Final = "this must connect without a question: {by_hand}"


@dataclass(frozen=True)
class KeptConnection:
    """A connection that outlives its command: the guard process of ssh, and the directory.

    ``config`` is the ssh configuration file of a guest in QEMU, in the directory of the guest.
    """

    url: str
    pid: int
    created: float
    folder: str
    config: str | None = None

    @classmethod
    def load(cls, path: Path) -> Self | None:
        """Return the connection in a file; None if there is no such file, or it is damaged."""
        try:
            return cls(**json.loads(path.read_bytes()))
        except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
            return None

    def save(self, path: Path) -> None:
        """Write the connection to a private file."""
        folders.make(path.parent)
        files.write_atomically(path, json.dumps(asdict(self)).encode())

    @property
    def address(self) -> Address:
        """The address of the node."""
        config = None if self.config is None else Path(self.config)
        return replace(Address.parse(self.url), config=config)

    @property
    def on(self) -> str:
        """The value of ``--on`` that selects the node in other commands."""
        return self.url if self.config is None else "qemu"

    def alive(self) -> bool:
        """Return whether the connection is still open."""
        return self._process() is not None

    def end(self) -> None:
        """End the connection with its forwarded ports. Ending it again is harmless."""
        if (found := self._process()) is not None:
            with contextlib.suppress(psutil.Error):
                found.terminate()
                found.wait(process.GRACE * 3)
        folder = Path(self.folder)
        if folders.is_marked(folder):
            folders.remove_tree(folder, inside=folder.parent)

    def _process(self) -> psutil.Process | None:
        with contextlib.suppress(psutil.Error):
            found = psutil.Process(self.pid)
            if found.create_time() == self.created and found.status() != psutil.STATUS_ZOMBIE:
                return found
        return None


@dataclass(frozen=True)
class Answer:
    """The end of a command on the host: its exit status, its output and its last messages.

    The status is None if the command did not end within the time limit, and LOST if the connection
    failed.
    """

    status: int | None
    output: str
    last_lines: str

    @property
    def ending(self) -> str:
        """How the command ended, in words."""
        return "did not end" if self.status is None else f"ended with status {self.status}"


class Connection:
    """A connection to one host. ``log`` receives the output of ssh.

    ``factor`` multiplies the time limits.
    """

    def __init__(self, address: Address, log: Path, factor: float = 1.0) -> None:
        self.address = address
        self.log = log
        self.factor = factor
        self._running: process.Running | None = None
        self._folder: Path | None = None
        self._lock = -1

    def open(self) -> None:
        """Connect.

        :raises UsageError: the host key is unknown or has changed, or no key is accepted.
        :raises InfrastructureError: the host does not answer.
        """
        self._make_folder()
        running = process.start(
            ["ssh", "-N", "-T", *self._master_options(), *self.address.options],
            log=self.log,
            env=environment(),
            stdout=process.PIPE,
        )
        self._running = running
        output = running.read(CONNECT_TIMEOUT * self.factor)
        if output is None or not output.strip().endswith(_CONNECTED):
            error = self._refusal(running, output)
            self.close()
            raise error
        self._write_config()

    def argv(self, line: str) -> list[str]:
        """Return the ssh command that runs this line in the login shell of the host."""
        return ["ssh", "-T", *self._client_options(), *self.address.options, line]

    def call(self, line: str, seconds: float, source: IO[bytes] | None = None) -> Answer:
        """Run a line in the login shell of the host, and wait for its end.

        ``source`` is the input of the command; by default it has none.
        """
        with tempfile.TemporaryDirectory(dir=self.log.parent) as folder:
            output, argv = Path(folder) / "output", self.argv(line)
            with process.start(
                argv, log=self.log, stdout=output, stdin=process.PIPE, env=environment()
            ) as running:
                with contextlib.suppress(BrokenPipeError):
                    while source is not None and (chunk := source.read(_CHUNK)):
                        running.write(chunk)
                running.close_input()
                status = running.wait(seconds)
                lines = running.last_lines()
            return Answer(status, output.read_text(errors="replace").strip(), lines)

    def forward(self, ports: Sequence[int]) -> None:
        """Make these loopback ports of the host answer on the same ports of this machine.

        :raises InfrastructureError: a port is in use on this machine, or forwarding is refused.
        """
        wanted = [f"-L127.0.0.1:{port}:127.0.0.1:{port}" for port in ports]
        try:
            self.control("forward", *wanted)
        except process.ProcessError as error:
            raise InfrastructureError(
                f"the ports {', '.join(map(str, ports))} of {self.address} cannot be forwarded to"
                f" the same ports of this machine:\n{self._last_lines()}",
                "end the processes that use these ports on this machine, or choose other ports by"
                " --port; check that AllowTcpForwarding is on in the node's configuration of sshd",
            ) from error

    def control(self, command: str, *arguments: str) -> None:
        """Send a control command to the master, and wait for its answer.

        :raises ProcessError: the master refuses.
        """
        options = [*self._client_options(), "-O", command, *arguments]
        argv = ["ssh", *options, *self.address.options]
        limit = FORWARD_TIMEOUT * self.factor
        process.run(argv, log=self.log, timeout=limit, env=environment())

    @property
    def config(self) -> Path:
        """An ssh configuration file in which the host ALIAS uses this connection."""
        assert self._folder is not None, "open the connection first"
        return self._folder / "config"

    def keep(self) -> KeptConnection:
        """Let the connection outlive this process; return an object that can end the connection."""
        assert self._running is not None, "open the connection first"
        assert self._folder is not None
        created = psutil.Process(self._running.pid).create_time()
        config = None if self.address.config is None else str(self.address.config)
        kept = KeptConnection(
            str(self.address), self._running.pid, created, str(self._folder), config
        )
        kept.save(self._folder / "kept.json")
        with self._running:
            self._running.detach()
        self._running = self._folder = None
        os.close(self._lock)
        return kept

    def close(self) -> None:
        """End the connection, unless it is kept. Closing it again is harmless."""
        if self._running is not None:
            with self._running:
                self._running.terminate()
            self._running = None
        if self._folder is not None:
            os.close(self._lock)
            folders.remove_tree(self._folder, inside=self._folder.parent)
            self._folder = None

    def _make_folder(self) -> None:
        place = next(
            each
            for each in (tempfile.gettempdir(), *_SHORT_PLACES)
            if _PLAIN.fullmatch(each)
            and len(each) + len(f"/{_PREFIX}XXXXXXXX/master") <= _SOCKET_MAX
        )
        for old in Path(place).glob(f"{_PREFIX}*"):
            _remove_if_closed(old)
        self._folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
        lock = files.take_lock(self._folder / "lock")
        assert lock is not None
        self._lock = lock
        folders.mark(self._folder)

    def _write_config(self) -> None:
        lines = [f"Host {ALIAS}", f"  ControlPath {self._socket}"]
        lines += [f"  {name} {value}" for name, value in _CLIENT_OPTIONS.items()]
        files.write_atomically(self.config, "\n".join([*lines, ""]).encode())

    @property
    def _socket(self) -> Path:
        assert self._folder is not None, "open the connection first"
        return self._folder / "master"

    def _master_options(self) -> list[str]:
        # ssh runs the local command when it listens on its socket.
        own = {
            "ConnectTimeout": str(math.ceil(ANSWER_TIMEOUT * self.factor)),
            "ControlMaster": "yes",
            "ControlPath": str(self._socket),
            "LocalCommand": f"echo {_CONNECTED.decode()}",
        }
        return _options({**_OPTIONS, **own})

    def _client_options(self) -> list[str]:
        return _options({**_CLIENT_OPTIONS, "ControlPath": str(self._socket)})

    def _refusal(self, running: process.Running, output: bytes | None) -> Refusal:
        if output is None:
            what, lines = f"it did not answer within {CONNECT_TIMEOUT * self.factor:g} s", ""
        else:
            status = running.wait(process.GRACE)
            what, lines = f"ssh ended with status {status}", running.last_lines()
        by_hand = f"`ssh {' '.join(self.address.options)}`"
        kind, hint = next(
            ((kind, hint) for part, kind, hint in _HINTS if part in lines),
            (InfrastructureError, _HINT),
        )
        message = f"cannot connect to the node {self.address}: {what}\n{lines}".rstrip()
        return kind(message, hint.format(host=self.address.host, by_hand=by_hand))

    def _last_lines(self) -> str:
        return self._running.last_lines() if self._running else ""


def environment() -> dict[str, str]:
    """Return the environment of ssh, which may use the user's ssh-agent."""
    return process.environment(SSH_AUTH_SOCK=os.environ.get("SSH_AUTH_SOCK"))


def _options(values: Mapping[str, str]) -> list[str]:
    return [word for name, value in values.items() for word in ("-o", f"{name}={value}")]


def _remove_if_closed(folder: Path) -> None:
    """Remove the directory of a closed connection, such as a killed command leaves."""
    with contextlib.suppress(OSError):
        if folder.stat().st_uid != os.geteuid() or not folders.is_marked(folder):
            return
        kept = KeptConnection.load(folder / "kept.json")
        if not files.is_locked(folder / "lock") and not (kept and kept.alive()):
            folders.remove_tree(folder, inside=folder.parent)
