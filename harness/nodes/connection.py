# SPDX-License-Identifier: Apache-2.0
"""A connection to a node by OpenSSH's own client, which all commands and forwarded ports share.

The client is a control master: it honours the user's configuration, keys, agent and known hosts,
never asks for anything, and ends when the other side is silent. Its socket is in a private folder
with a short path, for the path of a socket is limited to about a hundred bytes.
"""

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Self

import psutil

from bsdgate.harness import files, folders, process
from bsdgate.harness.errors import InfrastructureError, UsageError
from bsdgate.harness.nodes.address import Address

ALIVE_SECONDS: Final = 10
"""Seconds of silence after which the other side is asked whether it is there."""
ALIVE_COUNT: Final = 3
"""Questions without an answer after which the connection is lost."""
CONNECT_TIMEOUT: Final = 60.0
FORWARD_TIMEOUT: Final = 60.0
LOST: Final = 255
"""The exit status of ssh where the connection, and not the command, has failed."""
ALIAS: Final = "bsdgate-node"
"""The name of the node for programs that are given the file ``config``."""

_CONNECTED: Final = b"connected"
_PREFIX: Final = "bsdgate-ssh-"
_SOCKET_MAX: Final = 80
"""Bytes of the socket's path: 104 on FreeBSD, of which ssh takes 17 for a temporary name."""
_PLAIN: Final = re.compile(r"[A-Za-z0-9/._-]+")
"""A path that needs no quotes in a file of ssh's configuration."""
_SHORT_PLACES: Final = ("/tmp", "/var/tmp")  # noqa: S108 - a folder with a random name is made

# The first option that ssh reads is the one that counts: these come before the user's files.
_OPTIONS: Final[Mapping[str, str]] = {
    "BatchMode": "yes",
    "ClearAllForwardings": "yes",
    "ConnectTimeout": "30",
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
# Through the master or not at all.
_CLIENT_OPTIONS: Final[Mapping[str, str]] = {
    "BatchMode": "yes",
    "ControlMaster": "no",
    "ProxyCommand": "false",
    "RemoteCommand": "none",
    "RequestTTY": "no",
}

Refusal = UsageError | InfrastructureError
"""Why a node cannot be connected to."""

_CHANGED_KEY: Final = """\
find out why the host key changed; if it should have, remove the old one with
`ssh-keygen -R {host}`, and connect once by hand: {by_hand}"""
_UNKNOWN_KEY: Final = "connect once by hand, and compare the fingerprint of its key: {by_hand}"
_NO_KEY: Final = """\
bsdgate does not ask for passwords: bring a key of yours there (ssh-copy-id), and load it into
ssh-agent if it has a passphrase; this must work without a question: {by_hand}"""
# What ssh says, by a part of it; the first that fits is taken.
_HINTS: Final[Sequence[tuple[str, type[UsageError] | type[InfrastructureError], str]]] = (
    ("IDENTIFICATION HAS CHANGED", UsageError, _CHANGED_KEY),
    ("Host key verification failed", UsageError, _UNKNOWN_KEY),
    ("Permission denied", UsageError, _NO_KEY),
    ("Could not resolve hostname", UsageError, "check the name of the host: {by_hand}"),
    ("Bad configuration option", UsageError, "correct the file of ssh's configuration"),
    ("Connection refused", InfrastructureError, "start sshd there, or give its port: {by_hand}"),
)
_HINT: Final = "this must work without a question: {by_hand}"


@dataclass(frozen=True)
class Kept:
    """A connection that outlives its command: the process that guards it, and its folder."""

    url: str
    pid: int
    created: float
    folder: str

    @classmethod
    def load(cls, path: Path) -> Self | None:
        """Return what ``save`` has written; None if there is no such file, or it is damaged."""
        try:
            return cls(**json.loads(path.read_bytes()))
        except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
            return None

    def save(self, path: Path) -> None:
        """Write it to a private file."""
        folders.make(path.parent)
        files.write_atomically(path, json.dumps(asdict(self)).encode())

    def alive(self) -> bool:
        """Whether the connection is still there."""
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


class Connection:
    """A connection to one host. ``log`` takes what ssh says."""

    def __init__(self, address: Address, log: Path) -> None:
        self.address = address
        self.log = log
        self._running: process.Running | None = None
        self._folder: Path | None = None
        self._lock = -1

    def open(self) -> None:
        """Connect.

        :raises UsageError: the host key is not known or not the known one, or no key is accepted.
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
        said = running.read(CONNECT_TIMEOUT)
        if said is None or not said.strip().endswith(_CONNECTED):
            error = self._refusal(running, said)
            self.close()
            raise error
        self._write_config()

    def argv(self, line: str) -> list[str]:
        """Return the command, of this machine, that gives this line to the login shell there."""
        return ["ssh", "-T", *self._client_options(), *self.address.options, line]

    def forward(self, ports: Sequence[int]) -> None:
        """Make these loopback ports of the host answer on the same ports here.

        :raises InfrastructureError: one of them cannot be had here, or the host does not allow it.
        """
        wanted = [f"-L127.0.0.1:{port}:127.0.0.1:{port}" for port in ports]
        try:
            self.control("forward", *wanted)
        except process.ProcessError as error:
            raise InfrastructureError(
                f"the ports {', '.join(map(str, ports))} of {self.address} cannot be forwarded to"
                f" the same ports here:\n{self._last_lines()}",
                "end what uses them here (or choose other ones by --port), and see that sshd there"
                " allows it (AllowTcpForwarding)",
            ) from error

    def control(self, order: str, *arguments: str) -> None:
        """Give an order to the master (ProcessError: it refuses).

        ``ssh`` returns only when the master has answered.
        """
        options = [*self._client_options(), "-O", order, *arguments]
        argv = ["ssh", *options, *self.address.options]
        process.run(argv, log=self.log, timeout=FORWARD_TIMEOUT, env=environment())

    @property
    def config(self) -> Path:
        """A file of ssh's configuration with which the host ALIAS is this connection."""
        assert self._folder is not None, "open the connection first"
        return self._folder / "config"

    def keep(self) -> Kept:
        """Let the connection outlive this process; say how it is ended."""
        assert self._running is not None, "open the connection first"
        assert self._folder is not None
        created = psutil.Process(self._running.pid).create_time()
        kept = Kept(str(self.address), self._running.pid, created, str(self._folder))
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
            _remove_if_over(old)
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
        # ssh runs the local command once it listens on its socket.
        own = {"ControlMaster": "yes", "LocalCommand": f"echo {_CONNECTED.decode()}"}
        return _options({**_OPTIONS, **own, "ControlPath": str(self._socket)})

    def _client_options(self) -> list[str]:
        return _options({**_CLIENT_OPTIONS, "ControlPath": str(self._socket)})

    def _refusal(self, running: process.Running, said: bytes | None) -> Refusal:
        if said is None:
            what, lines = f"it did not answer within {CONNECT_TIMEOUT:g} s", ""
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
    """Return the environment of ssh: it may ask the user's agent for keys."""
    return process.environment(SSH_AUTH_SOCK=os.environ.get("SSH_AUTH_SOCK"))


def _options(values: Mapping[str, str]) -> list[str]:
    return [word for name, value in values.items() for word in ("-o", f"{name}={value}")]


def _remove_if_over(folder: Path) -> None:
    """Remove the folder of a connection that is over, such as a killed command has left."""
    with contextlib.suppress(OSError):
        if folder.stat().st_uid != os.geteuid() or not folders.is_marked(folder):
            return
        kept = Kept.load(folder / "kept.json")
        if not files.is_locked(folder / "lock") and not (kept and kept.alive()):
            folders.remove_tree(folder, inside=folder.parent)
