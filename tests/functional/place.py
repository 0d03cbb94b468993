# SPDX-License-Identifier: Apache-2.0
"""A user's place in small: a home, state and cache of its own, and the bsdgate command in it."""

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
# Nothing listens on the discard port: no proxy of the user may come between us and loopback.
NOWHERE = "http://127.0.0.1:9"
# The machine may be busy with something else: this is for what must come, not for how soon.
PATIENCE = 90.0
ODD = "of Zoë's (& co), ~1 =old+new;_@!^"
"""A part of a folder's name, with every kind of character that one may have."""
SERVICES = ("keystone", "placement", "glance", "neutron", "nova", "ironic")

T = TypeVar("T")

INTERRUPTS = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)


def wait_for(
    condition: Callable[[], T], what: str, timeout: float = PATIENCE, interval: float = 0.05
) -> T:
    """Return the first true value of ``condition``; fail, saying ``what``, if none comes."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {timeout:g} s: {what}"
        time.sleep(interval)
    return value


@contextlib.contextmanager
def as_under_a_terminal() -> Iterator[None]:
    """Let processes that are started meanwhile have the signal dispositions of a terminal.

    A child inherits that a signal is ignored, as SIGINT is where the tests run in the background.
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
    """A command that ended: its exit code, all that it wrote, and how long it took."""

    code: int
    text: str
    seconds: float

    def __str__(self) -> str:
        return f"exit code {self.code} after {self.seconds:.1f} s\n{self.text}"


class Started:
    """A command under way, the leader of a process group as under a shell."""

    def __init__(self, popen: subprocess.Popen[bytes], output: Path) -> None:
        self.popen = popen
        self.began = time.monotonic()
        self._output = output

    @property
    def text(self) -> str:
        """What it has written so far."""
        return self._output.read_text(errors="replace")

    def press_ctrl_c(self) -> None:
        """Send what a terminal sends."""
        os.killpg(self.popen.pid, signal.SIGINT)

    def until(self, text: str) -> None:
        """Wait until it has written ``text``."""
        wait_for(lambda: text in self.text or self.popen.poll() is not None, f"{text!r}")
        assert text in self.text, f"it ended with {self.popen.returncode}:\n{self.text}"

    def done(self, timeout: float = PATIENCE * 3) -> Done:
        """Wait for its end."""
        code = self.popen.wait(timeout)
        return Done(code, self.text, time.monotonic() - self.began)


class Place:
    """A user's home, state and cache under ``root``, and what runs there.

    The state folder is reached through a symbolic link, as homes are on FreeBSD.
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
        """Start a program; those of the environment under test are known by name."""
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
        """Return the living processes of this place, or those that live in ``below``."""
        return [each for each in psutil.process_iter() if self._is_ours(each, below)]

    def _is_ours(self, each: psutil.Process, below: Path | None) -> bool:
        # Each by itself may be refused or, where a program renames itself, be gone.
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
        """Wait until no process of this place lives."""
        deadline = time.monotonic() + timeout
        while left := self.processes():
            assert time.monotonic() < deadline, f"left after {timeout:g} s: {left}"
            psutil.wait_procs(left, 0.1)

    def litter(self) -> list[str]:
        """Return what lies where commands have no business: home, temporary and working folder.

        OpenStack's clouds.yaml is theirs to write, and the index of entry points that stevedore
        keeps among the user's caches belongs to every OpenStack program.
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
        """End whatever a failed test has left running here."""
        for each in self.processes():
            with contextlib.suppress(psutil.Error):
                each.kill()
        for started in self._started:
            started.popen.wait(PATIENCE)


class UpCloud:
    """A cloud that ``bsdgate up`` has brought up in a place."""

    def __init__(self, place: Place, name: str) -> None:
        self.place = place
        self.name = name
        self.directory = place.state / "clouds" / name

    def do(self, verb: str, *arguments: str) -> Done:
        """Run a bsdgate command on this cloud."""
        return self.place.bsdgate(verb, "--name", self.name, *arguments)

    @property
    def status(self) -> dict[str, Any]:
        """The status file of its supervisor."""
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
        """Return its living processes."""
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
