# SPDX-License-Identifier: Apache-2.0
"""The only place that starts processes.

Whatever is started has a process group and session of its own, a log file, no input, and is on the
list of a guard that ends it should the harness be killed. ``run`` is for commands that finish,
``start`` for those that go on.
"""

import atexit
import contextlib
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, NoReturn, Self

import psutil

from bsdgate.harness import files, guard
from bsdgate.harness.command_line import Command
from bsdgate.harness.errors import InfrastructureError

PIPE: Final = subprocess.PIPE
GRACE: Final = 3.0

_CHUNK: Final = 65536

# The child waits for a line before it becomes the program, and gets it once the guard knows its
# group: there is no moment in which a killed harness would leave it behind unlisted.
_GATE: Final = ("/bin/sh", "-c", 'read -r _ && exec "$@" </dev/null', "sh")

_NOT_INHERITED = re.compile(
    r"OS_|TEMPEST_|STESTR_|PYTHONDONTWRITEBYTECODE$|PYTHONHOME$|PYTHONPATH$|PYTHONSTARTUP$"
)
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


class ProcessError(InfrastructureError):
    """A command failed. ``exit_status`` is negative for a signal, None for a time limit."""

    def __init__(self, message: str, hint: str, *, log: Path, exit_status: int | None) -> None:
        super().__init__(message, hint)
        self.log = log
        self.exit_status = exit_status


@dataclass(frozen=True)
class Completed:
    """A command that ended: its exit status (negative for a signal) and how long it took."""

    argv: tuple[str, ...]
    exit_status: int
    seconds: float
    log: Path


def environment(**changes: str | None) -> dict[str, str]:
    """Return the environment for a child: ours, without what would bend it, plus ``changes``.

    Settings of the user's other clouds, Tempest workspaces and Python paths are dropped, bytecode
    is written, and no proxy stands before loopback. A change to None drops the variable.
    """
    env = {name: value for name, value in os.environ.items() if not _NOT_INHERITED.match(name)}
    direct = env.get("no_proxy") or env.get("NO_PROXY") or ""
    missing = [host for host in _LOOPBACK if host not in direct.split(",")]
    env["no_proxy"] = env["NO_PROXY"] = ",".join(filter(None, [direct, *missing]))
    for name, value in changes.items():
        env.pop(name, None)
        if value is not None:
            env[name] = value
    return env


class Running:
    """A process that was started, with its process group. A context manager that ends it."""

    def __init__(self, command: Command, popen: subprocess.Popen[bytes], offset: int) -> None:
        self.pid: Final = popen.pid
        self._command = command
        self._popen = popen
        self._offset = offset
        self._started = time.monotonic()
        self._listed = True

    @property
    def exit_status(self) -> int | None:
        """The exit status, negative for a signal; None while the process runs."""
        return self._popen.poll()

    def read(self, timeout: float | None = None) -> bytes | None:
        """Return the next bytes of stdout, b"" at its end, None when none came in ``timeout`` s.

        Only for a process started with ``stdout=PIPE``. The end comes when the last process that
        holds the pipe is gone; ``wait`` sees to those that outlive their parent.
        """
        assert self._popen.stdout is not None, "start it with stdout=PIPE to read from it"
        with selectors.DefaultSelector() as selector:
            selector.register(self._popen.stdout, selectors.EVENT_READ)
            if not selector.select(timeout):
                return None
        return os.read(self._popen.stdout.fileno(), _CHUNK)

    def wait(self, timeout: float | None = None) -> int | None:
        """Return the exit status, or None when the process still runs after ``timeout`` seconds.

        What the process leaves behind in its group is killed.
        """
        try:
            status = self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            return None
        self._end_group()
        return status

    def finish(self, timeout: float, *, check: bool = True) -> Completed:
        """Wait for the end, at most ``timeout`` seconds; with ``check`` it must be a good one.

        :raises ProcessError: it went over its time, or ended with another status than 0.
        """
        status = self.wait(timeout)
        if status is None:
            self.terminate()
            raise self.failure(f"did not end within {timeout:g} s")
        if status != 0 and check:
            raise self.failure(_ending(status))
        seconds = time.monotonic() - self._started
        return Completed(self._command.argv, status, seconds, self._command.log)

    def terminate(self, grace: float = GRACE) -> int:
        """End the process and its group: ask, wait up to ``grace`` seconds, kill; return status."""
        deadline = time.monotonic() + grace
        if self._listed:
            guard.signal_group(self.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(grace)
        # The members of a group are not our children, so no event tells of their end.
        while self._listed and time.monotonic() < deadline and _has_members(self.pid):
            time.sleep(0.02)
        self._end_group()
        return self._popen.wait()

    def detach(self) -> int:
        """Let the process outlive the harness from here on; return its pid."""
        self._unlist()
        _forget(self._popen)
        return self.pid

    def failure(self, what: str) -> ProcessError:
        """Return an error about this process, with its last log lines and its command line."""
        command = self._command
        message = (
            f"{Path(command.argv[0]).name} {what}\n{command.last_lines(self._offset)}".rstrip()
        )
        hint = f"its log is {command.log}; to run it by hand:\n     {command.pasteable()}"
        return ProcessError(message, hint, log=command.log, exit_status=self.exit_status)

    def _end_group(self) -> None:
        if self._listed:
            guard.signal_group(self.pid, signal.SIGKILL)
            self._popen.wait()
            self._unlist()

    def _unlist(self) -> None:
        self._listed = False
        _guard.remove(self.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._listed:
            self.terminate()
        if self._popen.stdout is not None:
            self._popen.stdout.close()


def start(
    argv: Sequence[str | Path],
    *,
    log: Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdout: Path | int | None = None,
    pass_fds: Sequence[int] = (),
) -> Running:
    """Start a process in a group and session of its own.

    ``log`` takes what it writes; ``stdout`` may be a file of its own or PIPE, which leaves the log
    to stderr. ``env`` is the whole environment, by default ``environment()``. ``pass_fds`` are
    descriptors that the process is to have, under the same numbers.

    :raises InfrastructureError: there is no such program, or no room or right to write the log.
    """
    words = tuple(str(word) for word in argv)
    command = Command(words, cwd or Path.cwd(), environment() if env is None else env, log)
    program = _find_program(command)
    with contextlib.ExitStack() as stack:
        log_file = stack.enter_context(_appending(log))
        offset = os.fstat(log_file).st_size
        out = stack.enter_context(_appending(stdout)) if isinstance(stdout, Path) else stdout
        try:
            popen = subprocess.Popen(
                [*_GATE, program, *words[1:]],
                bufsize=0,
                cwd=command.cwd,
                env=command.env,
                stdin=subprocess.PIPE,
                stdout=log_file if out is None else out,
                stderr=log_file,
                start_new_session=True,
                pass_fds=pass_fds,
            )
        except OSError as error:
            raise InfrastructureError(
                f"cannot start {program} in {command.cwd}: {error.strerror}",
                f"the command was:\n     {command.pasteable()}",
            ) from error
    _guard.add(popen.pid)
    assert popen.stdin is not None
    with contextlib.suppress(BrokenPipeError), popen.stdin:
        popen.stdin.write(b"\n")
    return Running(command, popen, offset)


def run(
    argv: Sequence[str | Path],
    *,
    log: Path,
    timeout: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdout: Path | None = None,
    check: bool = True,
) -> Completed:
    """Run a command to its end, at most ``timeout`` seconds.

    :raises ProcessError: it went over its time, or ended with another status than 0 (unless
        ``check`` is False).
    """
    with start(argv, log=log, cwd=cwd, env=env, stdout=stdout) as running:
        return running.finish(timeout, check=check)


def become(argv: Sequence[str]) -> NoReturn:
    """Turn this process into another program, found on the PATH."""
    sys.stdout.flush()
    os.execvp(argv[0], list(argv))  # noqa: S606 - the words are ours and no shell reads them


def _ending(status: int) -> str:
    if status > 0:
        return f"ended with status {status}"
    return f"was killed by {signal.Signals(-status).name}"


def _find_program(command: Command) -> str:
    name = command.argv[0]
    place = str(command.cwd / name) if "/" in name else name
    program = shutil.which(place, path=command.env.get("PATH"))
    if program is None:
        where = "" if "/" in name else f" on PATH={command.env.get('PATH', '')}"
        raise InfrastructureError(
            f"there is no program {name}{where}",
            "install it; bindep.txt lists what a machine needs",
        )
    return program


@contextlib.contextmanager
def _appending(path: Path) -> Iterator[int]:
    with files.explained(path):
        fd = files.open_private(path, os.O_APPEND)
    try:
        yield fd
    finally:
        os.close(fd)


def _has_members(group: int) -> bool:
    # A container's first process may never reap: a group of nothing but zombies has ended.
    if not guard.signal_group(group, 0):
        return False
    for pid in psutil.pids():
        with contextlib.suppress(ProcessLookupError, PermissionError, psutil.Error):
            if os.getpgid(pid) == group and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                return True
    return False


def _forget(popen: subprocess.Popen[bytes]) -> None:
    # Popen complains about, and later reaps, a child that it believes to be running.
    popen.returncode = 0


class _Guard:
    """Our end of the guard process: one per harness, started with the first process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._groups: set[int] = set()
        self._popen: subprocess.Popen[bytes] | None = None

    def add(self, group: int) -> None:
        with self._lock:
            self._groups.add(group)
            self._tell(b"+%d\n" % group)

    def remove(self, group: int) -> None:
        with self._lock:
            self._groups.discard(group)
            self._tell(b"-%d\n" % group)

    def _tell(self, line: bytes) -> None:
        if self._popen is not None:
            assert self._popen.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                self._popen.stdin.write(line)
                return
            self._popen.stdin.close()
            self._popen.wait()
        self._popen = subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__, str(GRACE)],
            bufsize=0,
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert self._popen.stdin is not None
        self._popen.stdin.write(b"".join(b"+%d\n" % group for group in self._groups))

    def close(self) -> None:
        """Let the guard go; it first ends what is still on its list."""
        if self._popen is not None:
            assert self._popen.stdin is not None
            self._popen.stdin.close()
            self._popen.wait()
            self._popen = None

    def forget(self) -> None:
        """Drop the list in a forked child: what is on it is the parent's."""
        if self._popen is not None:
            assert self._popen.stdin is not None
            self._popen.stdin.close()
            _forget(self._popen)
        self._lock = threading.Lock()
        self._groups = set()
        self._popen = None


_guard = _Guard()
atexit.register(_guard.close)
os.register_at_fork(after_in_child=_guard.forget)
