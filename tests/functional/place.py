# SPDX-License-Identifier: Apache-2.0
"""A place for a test: a home directory, a state and a cache directory, and the bsdgate command."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil

BIN = Path(sys.executable).parent
# Nothing listens on the discard port: bsdgate must use no proxy of the user for loopback.
NOWHERE = "http://127.0.0.1:9"
# Long, for a busy machine: it is for events that must come, not for how soon they come.
TIMEOUT = 90.0
ODD = "of Zoë's (& co), ~1 =old+new;_@!^"
"""A part of a directory name, with each kind of character that a path may contain."""
SERVICES = ("keystone", "placement", "glance", "neutron", "nova", "ironic")

T = TypeVar("T")

INTERRUPTS = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)


def wait_for(
    condition: Callable[[], T], what: str, timeout: float = TIMEOUT, interval: float = 0.05
) -> T:
    """Return the first true value of ``condition``; after the timeout, fail with ``what``."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {timeout:g} s: {what}"
        time.sleep(interval)
    return value


@contextlib.contextmanager
def as_under_a_terminal() -> Iterator[None]:
    """Give processes that are started in the block the signal dispositions of a terminal.

    A child process inherits ignored signals, such as SIGINT if the tests run in the background.
    """
    ignored = [number for number in INTERRUPTS if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)


@dataclass(frozen=True)
class Done:
    """A command that ended: its exit code, its output, and its duration."""

    code: int
    text: str
    seconds: float

    def __str__(self) -> str:
        return f"exit code {self.code} after {self.seconds:.1f} s\n{self.text}"


class Started:
    """A running command: the leader of a process group, as under a shell."""

    def __init__(self, popen: subprocess.Popen[bytes], output: Path) -> None:
        self.popen = popen
        self.began = time.monotonic()
        self._output = output

    @property
    def text(self) -> str:
        """The output so far."""
        return self._output.read_text(errors="replace")

    def press_ctrl_c(self) -> None:
        """Send SIGINT to the process group, like a terminal."""
        os.killpg(self.popen.pid, signal.SIGINT)

    def until(self, text: str) -> None:
        """Wait for ``text`` in the output."""
        wait_for(lambda: text in self.text or self.popen.poll() is not None, f"{text!r}")
        assert text in self.text, f"it ended with {self.popen.returncode}:\n{self.text}"

    def done(self, timeout: float = TIMEOUT * 3) -> Done:
        """Wait for the end of the command."""
        code = self.popen.wait(timeout)
        return Done(code, self.text, time.monotonic() - self.began)


class Place:
    """A user's home, state and cache directories under ``root``, and the processes there.

    The path of the state directory has a symbolic link, like home directories on FreeBSD.
    """

    def __init__(self, root: Path, cache: Path) -> None:
        self.root = root
        self.cache = cache
        self.home, self.temporary, self.cwd = (root / name for name in ("home", "tmp", "cwd"))
        for folder in (self.home, self.temporary, self.cwd, root / "real"):
            folder.mkdir()
        self.state = root / "state"
        self.state.symlink_to("real")
        self._started: list[Started] = []

    @property
    def clouds_yaml(self) -> Path:
        """The user's clouds.yaml."""
        return self.home / ".config" / "openstack" / "clouds.yaml"

    def environment(self, **changes: str) -> dict[str, str]:
        """Return the environment of the user's commands."""
        env = {name: value for name, value in os.environ.items() if name != "no_proxy"}
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), NOWHERE)
        ours = {
            "HOME": str(self.home),
            "BSDGATE_STATE_DIR": str(self.state),
            "BSDGATE_CACHE_DIR": str(self.cache),
            "TMPDIR": str(self.temporary),
            "COLUMNS": "1000",
            "PYTHONUNBUFFERED": "1",
        }
        return env | proxies | ours | changes

    def start(self, *argv: str | Path, **changes: str) -> Started:
        """Start a program; a name is searched in the environment under test."""
        program = BIN / argv[0] if (BIN / argv[0]).exists() else argv[0]
        output = self.root / f"output-{len(self._started)}.txt"
        with output.open("wb") as file, as_under_a_terminal():
            popen = subprocess.Popen(
                [program, *argv[1:]],
                cwd=self.cwd,
                env=self.environment(**changes),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._started.append(Started(popen, output))
        return self._started[-1]

    def bsdgate(self, *arguments: str | Path, **changes: str) -> Done:
        """Run the bsdgate command to its end."""
        return self.start("bsdgate", *arguments, **changes).done()

    def processes(self, below: Path | None = None) -> list[psutil.Process]:
        """Return the running processes of this place, or of its directory ``below``."""
        return [each for each in psutil.process_iter() if self._is_ours(each, below)]

    def _is_ours(self, each: psutil.Process, below: Path | None) -> bool:
        # Each value may be refused or, if a program changes its title, be missing.
        texts: list[str] = []
        for read in (each.cwd, lambda: " ".join(each.cmdline()), lambda: str(each.environ())):
            with contextlib.suppress(psutil.Error, OSError):
                texts.append(read())
                if below is not None:
                    break
        with contextlib.suppress(psutil.Error):
            if each.pid == os.getpid() or each.status() == psutil.STATUS_ZOMBIE:
                return False
            if below is not None:
                return Path(*texts).is_relative_to(below.resolve())
            return any(str(self.root) in text for text in texts)
        return False

    def wait_until_empty(self, timeout: float = 20) -> None:
        """Wait until all processes of this place have ended."""
        deadline = time.monotonic() + timeout
        while left := self.processes():
            assert time.monotonic() < deadline, f"left after {timeout:g} s: {left}"
            psutil.wait_procs(left, 0.1)

    def stray_files(self) -> list[str]:
        """Return the files in directories where commands must write none: home, temporary, working.

        Except OpenStack's clouds.yaml, and stevedore's index of entry points in the user's cache,
        which all OpenStack programs write.
        """
        found = [each for top in (self.home, self.temporary, self.cwd) for each in top.rglob("*")]
        entry_points = self.home / ".cache" / "python-entrypoints"
        known = {self.clouds_yaml, *self.clouds_yaml.parents, entry_points.parent}
        return sorted(
            str(each.relative_to(self.root))
            for each in found
            if each not in known and not each.is_relative_to(entry_points)
        )

    def close(self) -> None:
        """End the processes that a failed test left here."""
        for each in self.processes():
            with contextlib.suppress(psutil.Error):
                each.kill()
        for started in self._started:
            started.popen.wait(TIMEOUT)


class UpCloud:
    """A cloud of ``bsdgate up`` in a place."""

    def __init__(self, place: Place, name: str) -> None:
        self.place = place
        self.name = name
        self.directory = place.state / "clouds" / name

    def do(self, verb: str, *arguments: str) -> Done:
        """Run a bsdgate command for this cloud."""
        return self.place.bsdgate(verb, "--name", self.name, *arguments)

    @property
    def status(self) -> dict[str, Any]:
        """The content of status.json."""
        found: dict[str, Any] = json.loads((self.directory / "status.json").read_text())
        return found

    def pid(self, service: str) -> int:
        """Return the process id of a service's worker."""
        return int(self.status["services"][service]["pid"])

    @property
    def ports(self) -> dict[str, int]:
        """The port of each service."""
        found: dict[str, int] = json.loads((self.directory / "spec.json").read_text())["ports"]
        return found

    def processes(self) -> list[psutil.Process]:
        """Return the running processes of the cloud."""
        return self.place.processes(self.directory)


def listening(ports: Iterable[int]) -> list[int]:
    """Return those of the ports that accept connections on loopback."""
    answered = []
    for port in ports:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                answered.append(port)
    return answered


def free_port() -> int:
    """Return a port that is free at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
