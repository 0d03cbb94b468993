# SPDX-License-Identifier: Apache-2.0
"""The only module that starts processes.

Each command has its own process group, session and log file, and a guard (guard.py) that owns all
of its processes: none outlives the command, nor a harness that is killed. ``run`` waits for the end
of a command, ``start`` returns while it runs.
"""

import atexit
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Final, NoReturn, Self

import psutil

from bsdgate.harness import files, guard, variables
from bsdgate.harness.command_line import Command
from bsdgate.harness.errors import InfrastructureError

PIPE: Final = subprocess.PIPE
GRACE: Final = 3.0
"""The number of seconds between SIGTERM and SIGKILL, also on a slow node."""

_CHUNK: Final = 65536

# A guard that does not end a command within this time is killed: it may be stopped (SIGSTOP).
_GUARD_MARGIN: Final = 15.0


class ProcessError(InfrastructureError):
    """A command failed. ``exit_status`` is negative for a signal, None for a time limit."""

    def __init__(self, message: str, hint: str, *, log: Path, exit_status: int | None) -> None:
        super().__init__(message, hint)
        self.log = log
        self.exit_status = exit_status


@dataclass(frozen=True)
class Completed:
    """A command that ended: its exit status (negative for a signal) and its duration."""

    argv: tuple[str, ...]
    exit_status: int
    seconds: float
    log: Path


def environment(**changes: str | None) -> dict[str, str]:
    """Return the environment for a child process: ``variables.common()`` with ``changes``.

    A change to None removes the variable.
    """
    env = variables.common()
    for name, value in changes.items():
        env.pop(name, None)
        if value is not None:
            env[name] = value
    return env


class Running:
    """A started process and its descendants. A context manager that ends them.

    ``pid`` is the process id of the guard.
    """

    def __init__(
        self,
        command: Command,
        popen: subprocess.Popen[bytes],
        control: socket.socket,
        offset: int,
        stdin: int | None = None,
    ) -> None:
        self.pid: Final = popen.pid
        self._command = command
        self._popen = popen
        self._control = control
        self._received = b""
        self._offset = offset
        self._stdin = stdin
        self._started = time.monotonic()
        _running.add(self)

    @property
    def exit_status(self) -> int | None:
        """The exit status, negative for a signal; None while the process runs."""
        return self._popen.poll()

    @property
    def left(self) -> list[str]:
        """Processes that had to be killed after this one had ended: command lines with pids."""
        return self._values_of("left")

    def read(self, timeout: float | None = None) -> bytes | None:
        """Return the next bytes of stdout, b"" at its end, None if none came in ``timeout`` s.

        Only for a process started with ``stdout=PIPE``. The end comes when the process and
        all its descendants have ended, and the pipe is empty.
        """
        assert self._popen.stdout is not None, "start it with stdout=PIPE to read from it"
        stdout = self._popen.stdout.fileno()
        while True:
            ended = self._control.fileno() < 0
            ready = wait([stdout], 0) if ended else wait([stdout, self._control], timeout)
            if stdout in ready:
                return os.read(stdout, _CHUNK)
            if not ready:
                return b"" if ended else None
            self._read_messages()

    def write(self, data: bytes) -> None:
        """Write to the process's input. Only for a process started with ``stdin=PIPE``.

        :raises BrokenPipeError: the process does not read it any more.
        """
        if self._stdin is None:
            raise BrokenPipeError
        files.write_all(self._stdin, data)

    def close_input(self) -> None:
        """Close the process's input; to call it again is harmless."""
        if self._stdin is not None:
            os.close(self._stdin)
            self._stdin = None

    def wait(self, timeout: float | None = None) -> int | None:
        """Return the exit status, or None if the process still runs after ``timeout`` seconds.

        Processes that it leaves behind are killed.
        """
        try:
            status = self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            return None
        self._conclude()
        return status

    def finish(self, timeout: float, *, check: bool = True) -> Completed:
        """Wait for the end, at most ``timeout`` seconds.

        :raises ProcessError: that time is exceeded or, with ``check``, the exit status is not 0.
        """
        status = self.wait(timeout)
        if status is None:
            self.terminate()
            raise self.failure(f"did not end within {timeout:g} s")
        if status != 0 and check:
            raise self.failure(_status_text(status))
        seconds = time.monotonic() - self._started
        return Completed(self._command.argv, status, seconds, self._command.log)

    def terminate(self, grace: float = GRACE) -> int:
        """End the process and its group: SIGTERM, after ``grace`` s SIGKILL; return the status."""
        self._send(f"end {grace}")
        try:
            self._popen.wait(grace + _GUARD_MARGIN)
        except subprocess.TimeoutExpired:
            self._popen.kill()
        status = self._popen.wait()
        self._conclude()
        return status

    def detach(self) -> int:
        """Let the process outlive the harness from now on; return the pid of its guard."""
        self._send("detach")
        self.close()
        # Popen warns about, and later reaps, a child process without a return code.
        self._popen.returncode = 0
        return self.pid

    def close(self) -> None:
        """Close the socket to the guard, which ends a process that was not detached."""
        _running.discard(self)
        self.close_input()
        self._control.close()

    def last_lines(self) -> str:
        """Return the last lines that the log has got since the process was started."""
        return self._command.last_lines(self._offset)

    def failure(self, what: str) -> ProcessError:
        """Return an error about this process, with its last log lines and its command line."""
        command = self._command
        message = f"{Path(command.argv[0]).name} {what}\n{self.last_lines()}".rstrip()
        hint = f"the log is {command.log}; to run the command by hand:\n     {command.pasteable()}"
        return ProcessError(message, hint, log=command.log, exit_status=self.exit_status)

    def _send(self, line: str) -> None:
        # If the guard has ended or the socket is closed, no process is left to end.
        with contextlib.suppress(OSError):
            self._control.sendall(line.encode() + b"\n")

    def _read_messages(self) -> None:
        """Read lines of the guard; at the end of the socket, wait for the guard's end."""
        try:
            chunk = self._control.recv(_CHUNK)
        except ConnectionError:
            chunk = b""
        self._received += chunk
        if not chunk:
            self._popen.wait()
            self._conclude()

    def _conclude(self) -> None:
        """Read the rest of an ended guard's lines; if the guard was killed, kill its command."""
        if self._control.fileno() < 0:
            return
        self._control.setblocking(False)
        with contextlib.suppress(OSError):
            while chunk := self._control.recv(_CHUNK):
                self._received += chunk
        self.close()
        if not self._values_of("ended"):
            for pid in self._values_of("pid"):
                guard.signal_group(int(pid), signal.SIGKILL)

    def _values_of(self, word: str) -> list[str]:
        """Return the values of the guard's lines that begin with this word."""
        lines = self._received.decode(errors="backslashreplace").split("\n")[:-1]
        pairs = (line.partition(" ") for line in lines)
        return [value for first, _, value in pairs if first == word]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self in _running:
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
    stdin: int | None = None,
    pass_fds: Sequence[int] = (),
) -> Running:
    """Start a process in its own group and session.

    ``log`` receives its output; ``stdout`` may be another file or PIPE, so that the log receives
    only stderr. ``stdin`` may be PIPE, to which ``Running.write`` writes; by default the process
    has no input. ``env`` is the whole environment, by default ``environment()``. ``pass_fds`` are
    descriptors that the process inherits, with the same numbers.

    :raises InfrastructureError: there is no such program, or the log cannot be written.
    """
    words = tuple(str(word) for word in argv)
    command = Command(words, cwd or Path.cwd(), environment() if env is None else env, log)
    program = _find_program(command)
    with contextlib.ExitStack() as stack:
        log_file = stack.enter_context(_appending(log))
        offset = os.fstat(log_file).st_size
        out = stack.enter_context(_appending(stdout)) if isinstance(stdout, Path) else stdout
        ours, theirs = socket.socketpair()
        stack.enter_context(theirs)
        read_end, write_end = _input_pipe(stack) if stdin == PIPE else (None, None)
        try:
            popen = subprocess.Popen(
                [*_guard_command(read_end, pass_fds), program, *words[1:]],
                bufsize=0,
                cwd=command.cwd,
                env=command.env,
                stdin=theirs.fileno(),
                stdout=log_file if out is None else out,
                stderr=log_file,
                start_new_session=True,
                pass_fds=pass_fds if read_end is None else (*pass_fds, read_end),
            )
        except OSError as error:
            ours.close()
            if write_end is not None:
                os.close(write_end)
            raise InfrastructureError(
                f"cannot start {program} in {command.cwd}: {error.strerror}",
                f"the command was:\n     {command.pasteable()}",
            ) from error
    return Running(command, popen, ours, offset, write_end)


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

    :raises ProcessError: that time is exceeded or, with ``check``, the exit status is not 0.
    """
    with start(argv, log=log, cwd=cwd, env=env, stdout=stdout) as running:
        return running.finish(timeout, check=check)


def output(argv: Sequence[str | Path], *, timeout: float, bound: int | None = None) -> str:
    """Return what a command prints to its standard output; ``bound`` keeps the last bytes only.

    The log is removed: the error has the last lines of the log.

    :raises ProcessError: the time is exceeded, or the exit status is not 0.
    """
    with tempfile.TemporaryDirectory(prefix="bsdgate-") as folder:
        printed = Path(folder) / "stdout"
        run(argv, log=Path(folder) / "log", timeout=timeout, cwd=Path(folder), stdout=printed)
        with printed.open("rb") as file:
            if bound is not None:
                file.seek(max(0, printed.stat().st_size - bound))
            return file.read().decode(errors="replace")


def find(name: str) -> str:
    """Return the path of a program on the PATH.

    :raises InfrastructureError: the program is not found.
    """
    return _find_program(Command((name,), Path.cwd(), environment(), Path(os.devnull)))


def become(argv: Sequence[str]) -> NoReturn:
    """Replace this process by another program, found on the PATH."""
    sys.stdout.flush()
    os.execvp(argv[0], list(argv))  # noqa: S606 - the arguments are ours and no shell reads them


def _status_text(status: int) -> str:
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
    with files.explain_errors(path):
        fd = files.open_private(path, os.O_APPEND)
    try:
        yield fd
    finally:
        os.close(fd)


def _input_pipe(stack: contextlib.ExitStack) -> tuple[int, int]:
    """Return the pipe of a process's input; ``stack`` closes the end that the process reads."""
    read_end, write_end = os.pipe()
    stack.callback(os.close, read_end)
    return read_end, write_end


def _guard_command(stdin: int | None, pass_fds: Sequence[int]) -> list[str]:
    packages = str(Path(psutil.__file__).parents[1])
    passed = ",".join(map(str, pass_fds))
    given = "" if stdin is None else str(stdin)
    return [sys.executable, "-I", "-S", guard.__file__, str(GRACE), packages, given, passed]


_running: "weakref.WeakSet[Running]" = weakref.WeakSet()


def _end_all() -> None:
    """End all running processes, at the same time, when the harness ends."""
    processes = list(_running)
    for running in processes:
        running.close()
    for running in processes:
        running.wait()


def _forget_all() -> None:
    """Close, in a forked child process, the sockets to its parent's processes."""
    for running in list(_running):
        running.close()


atexit.register(_end_all)
os.register_at_fork(after_in_child=_forget_all)
