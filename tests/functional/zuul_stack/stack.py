# SPDX-License-Identifier: Apache-2.0
"""Starts a stack from the kept state, and makes this state at the first use.

To make it, start a stack and print the seconds of each step:

    python -m functional.zuul_stack.stack FOLDER GERRIT-FOLDER ENVIRONMENT
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import psutil
from functional import gerrit
from functional.gerrit import Gerrit, Missing
from functional.server_process import START
from functional.zuul_stack import machine, seed
from functional.zuul_stack.layout import KEYSTONE_ONLY, Layout, Ports

_TESTS = Path(__file__).parents[2]


@dataclass(frozen=True)
class Home:
    """The kept state, and the programs that it belongs to."""

    state: Path
    environment: Path
    gerrit_home: Path
    keystone: Path


@dataclass(frozen=True)
class Stack:
    """A running stack. All its URLs and ports are those of loopback, for the process of a test."""

    layout: Layout
    gerrit: Gerrit
    pid: int
    """The process id of ``unshare``, which ends with the stack."""
    namespace: str
    """The name of its network namespace."""
    seconds: dict[str, float]
    """The seconds from the start to the end of each step."""


def find(folder: Path, gerrit_folder: Path, environment: Path, keystone: Path) -> Home:
    """Return the home of the stack in a folder; it is made at the first call.

    ``keystone`` is a released Keystone, with its version in the name of the directory.

    :raises Missing: a program is missing, or the user may not make namespaces.
    """
    if problem := machine.missing(environment):
        raise Missing(problem)
    gerrit_home = gerrit.find(gerrit_folder).path
    folder.mkdir(parents=True, exist_ok=True)
    home = Home(
        folder.resolve() / f"state-{_digest(gerrit_home, environment, keystone)}",
        environment.resolve(),
        gerrit_home,
        keystone,
    )
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not home.state.exists():
            for old in folder.glob("state-*"):
                shutil.rmtree(old)
            _make(home)
    return home


def _digest(gerrit_home: Path, environment: Path, keystone: Path) -> str:
    programs = f"{gerrit_home} {environment.resolve()} {keystone.name} {sys.executable}"
    made = hashlib.sha256(programs.encode())
    here = Path(__file__).parent
    modules = [here / f"{name}.py" for name in ("layout", "nodes", "seed", "servers", "settings")]
    folders = (seed.CONTENT, seed.EXAMPLE.parent, *seed.JOBS)
    content = [each for folder in folders for each in sorted(folder.rglob("*")) if each.is_file()]
    for file in (*modules, *content, _TESTS.parent / "constraints" / "zuul.txt"):
        made.update(file.name.encode() + file.read_bytes())
    return made.hexdigest()[:16]


def _make(home: Home) -> None:
    with _folder() as folder:
        with _running(home, folder, "make", {}) as stack:
            state = stack.layout.state
        draft = home.state.with_name(f"draft-{home.state.name}")
        shutil.rmtree(draft, ignore_errors=True)
        _copy(state, draft)
        draft.rename(home.state)


def _copy(source: Path, target: Path) -> None:
    """Copy a directory with the owners of its files."""
    subprocess.run(["cp", "--archive", "--reflink=auto", source, target], check=True)


@contextlib.contextmanager
def serving(home: Home, variables: Mapping[str, Any] = KEYSTONE_ONLY) -> Iterator[Stack]:
    """Run a stack on a copy of the state; end it afterwards, and remove the copy.

    ``variables`` are site variables, which replace variables of the jobs.
    """
    with _folder() as folder:
        _copy(home.state, folder / "state")
        with _running(home, folder, "run", variables) as stack:
            yield stack
        left = machine.processes_in(stack.namespace)
        assert not left, f"left in {stack.namespace}: {left}"
        mounts = Path("/proc/self/mountinfo").read_text()
        assert str(folder) not in mounts, mounts


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    # The path is short, for the sockets in it.
    with tempfile.TemporaryDirectory(prefix="bsdgate-zuul-") as folder:
        # PostgreSQL does not run as root, and enters it.
        Path(folder).chmod(0o755)
        yield Path(folder)


@contextlib.contextmanager
def _running(home: Home, folder: Path, what: str, variables: Mapping[str, Any]) -> Iterator[Stack]:
    with contextlib.ExitStack() as stack:
        names = [each.name for each in fields(Ports)]
        listening = {name: stack.enter_context(_listen()) for name in names}
        ports = Ports(**{name: each.getsockname()[1] for name, each in listening.items()})
        paths = (home.environment, home.gerrit_home, home.keystone)
        layout = Layout(folder, ports, *paths, variables)
        with _supervised(layout, what, [each.fileno() for each in listening.values()]) as popen:
            for each in listening.values():
                each.close()
            seconds = _read_report(popen, layout)
            gerrit_log = layout.folder / "state" / "daemon.log"
            server = Gerrit(layout.gerrit_url, gerrit_log)
            # The namespaces are those of unshare's children.
            (child,) = psutil.Process(popen.pid).children()
            namespace = machine.namespace(child.pid)
            yield Stack(layout, server, popen.pid, namespace, seconds)


@contextlib.contextmanager
def _supervised(layout: Layout, what: str, sockets: list[int]) -> Iterator[subprocess.Popen[bytes]]:
    """Start the supervisor; end it by the end of its input, and after a time by force."""
    command = [sys.executable, "-m", "functional.zuul_stack.supervisor", layout.to_json(), what]
    # A proxy of the user does not reach the servers.
    direct = dict.fromkeys(("no_proxy", "NO_PROXY"), "127.0.0.1,localhost")
    environment = {**os.environ, **direct, "PYTHONPATH": str(_TESTS)}
    with (layout.folder / "supervisor.log").open("wb") as log:
        popen = subprocess.Popen(
            [*machine.NAMESPACES, *command, *map(str, sockets)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            pass_fds=sockets,
        )
    assert popen.stdin is not None, "the input is a pipe"
    assert popen.stdout is not None, "the output is a pipe"
    with popen.stdin as stdin, popen.stdout:
        try:
            yield popen
        finally:
            stdin.close()
            try:
                popen.wait(START)
            except subprocess.TimeoutExpired:
                popen.kill()
                popen.wait()


def _read_report(popen: subprocess.Popen[bytes], layout: Layout) -> dict[str, float]:
    assert popen.stdout is not None, "the output is a pipe"
    line = popen.stdout.readline()
    log = (layout.folder / "supervisor.log").read_text(errors="replace")
    assert line, f"the stack did not start:\n{log}"
    seconds: dict[str, float] = json.loads(line)
    return seconds


def _listen() -> socket.socket:
    listening = socket.create_server(("127.0.0.1", 0), backlog=128)
    listening.set_inheritable(True)
    return listening


if __name__ == "__main__":
    began = time.monotonic()
    found = find(*map(Path, sys.argv[1:]))
    sys.stdout.write(f"{found.state} {time.monotonic() - began:.1f} s\n")
    began = time.monotonic()
    with serving(found) as running:
        sys.stdout.write(f"started in {time.monotonic() - began:.1f} s: {running.seconds}\n")
        began = time.monotonic()
    sys.stdout.write(f"ended in {time.monotonic() - began:.1f} s\n")
