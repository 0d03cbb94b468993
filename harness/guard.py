# SPDX-License-Identifier: Apache-2.0
"""Runs one command, owns all of its processes, and ends them when the command or the harness ends.

Run as a script, by path, with the standard library only: it must start in milliseconds and must not
depend on an environment that is being rebuilt. Its arguments are the grace period in seconds, the
directory of psutil, the descriptor of the command's standard input (empty: the command has no
input), the descriptors that the command inherits (numbers, separated by commas), and the command.
Its standard input is a socket to the harness:

- the harness writes ``end SECONDS`` to end the command, ``detach`` to let it outlive the harness;
  the end of the socket means that the harness has ended, and ends the command;
- the guard writes ``pid PID`` of the command, ``left WHAT`` for each process that it had to kill
  after the command had ended, and ``ended`` when no process is left. Then it ends with the status
  of the command.

A descendant of the command that makes its own session leaves the command's process group, but not
the guard: orphans below a subreaper become its children (Linux, FreeBSD). On a system without
subreapers the guard can end only the process group.
"""

import contextlib
import ctypes
import os
import select
import signal
import sys
import time
from typing import Any, Final, NoReturn

SETTLE: Final = 2.0
"""The number of seconds in which remaining processes, such as helpers, may end by themselves."""

# Not multiplied by the factor for slow nodes: a killed process does no more work.
KILL_TIMEOUT: Final = 10.0
"""The number of seconds after which the guard stops killing processes that do not end."""

TICK: Final = 0.05
"""The number of seconds between two checks, where no event reports the end of a process group."""

NAMED: Final = 20
NAME_LENGTH: Final = 200

_END: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_P_PID, _PROC_REAP_ACQUIRE, _PROC_REAP_KILL, _PROC_PDEATHSIG_CTL = 0, 2, 6, 11


class _ReaperKill(ctypes.Structure):
    """FreeBSD's struct procctl_reaper_kill."""

    _fields_ = (
        ("rk_sig", ctypes.c_int),
        ("rk_flags", ctypes.c_uint),
        ("rk_subtree", ctypes.c_int),
        ("rk_killed", ctypes.c_uint),
        ("rk_fpid", ctypes.c_int),
        ("rk_pad0", ctypes.c_uint * 15),
    )


def adopt_orphans() -> bool:
    """Become the parent of each orphan below this process; return False if that is impossible."""
    if sys.platform == "linux":
        found: int = ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        return found == 0
    return _procctl(os.getpid(), _PROC_REAP_ACQUIRE, None)


def die_with_parent() -> None:
    """Make the system kill this process when its parent ends (Linux, FreeBSD)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    else:
        _procctl(0, _PROC_PDEATHSIG_CTL, ctypes.byref(ctypes.c_int(signal.SIGKILL)))


def _procctl(pid: int, request: int, data: Any) -> bool:
    if not sys.platform.startswith("freebsd"):
        return False
    found: int = ctypes.CDLL(None).procctl(_P_PID, ctypes.c_int64(pid), request, data)
    return found == 0


def signal_group(group: int, number: int) -> bool:
    """Send a signal to a process group; return False if no process in it can receive it."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def start(argv: list[str], harness: int, stdin: int | None) -> int:
    """Start the command in its own session; return its pid when it runs.

    ``stdin`` is the descriptor of its input; None: it has no input.

    The command's pid is written to the socket ``harness`` before the command begins, so that the
    harness can end it even if the guard is killed right afterwards.
    """
    ours, theirs = os.pipe()
    guard = os.getpid()
    pid = os.fork()
    if not pid:
        _become(argv, guard, harness, stdin)
    os.close(theirs)
    os.read(ours, 1)  # end of file: the child has become the command, or has ended
    os.close(ours)
    return pid


def _become(argv: list[str], guard: int, harness: int, stdin: int | None) -> NoReturn:
    try:
        os.setsid()
        with contextlib.suppress(ConnectionError):
            os.write(harness, b"pid %d\n" % os.getpid())
        die_with_parent()
        if os.getppid() == guard:
            # Python ignores these signals; a command expects the system's default.
            for number in (signal.SIGPIPE, signal.SIGXFSZ):
                signal.signal(number, signal.SIG_DFL)
            given = os.open(os.devnull, os.O_RDONLY) if stdin is None else stdin
            os.dup2(given, 0)
            os.close(given)
            os.execv(argv[0], argv)  # noqa: S606 - no shell is wanted
    except OSError as error:
        os.write(2, f"{argv[0]}: {error.strerror}\n".encode(errors="backslashreplace"))
    finally:
        os._exit(126)


class Guard:
    """The running command, and the events that end it."""

    def __init__(self, harness: int, grace: float) -> None:
        """Use the socket to the harness; ``grace``: the seconds in which a command must end."""
        self._harness = harness
        self._grace = grace
        self._received = b""
        self._sockets = [harness]
        self._deadline: float | None = None
        self._detached = False
        self._command = 0
        self._status: int | None = None
        self._signals = _wake_on_signals()
        self._adopts = adopt_orphans()

    def run(self, argv: list[str], passed: list[int], stdin: int | None = None) -> int:
        """Run the command until it has ended, or was ended; return its status as wait() does.

        ``passed`` are other descriptors that only the command may hold, such as a lock.
        ``stdin`` is the descriptor of its input, if it has one.
        """
        self._command = start(argv, self._harness, stdin)
        # From here on only processes of the command hold its output and its working directory.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        for descriptor in (*passed, *([] if stdin is None else [stdin])):
            os.close(descriptor)
        os.chdir("/")
        self._reap()
        while self._status is None or self._group_may_end():
            self._listen(self._timeout())
            self._reap()
            if self._is_late():
                signal_group(self._command, signal.SIGKILL)
        return self._status

    def send(self, line: str) -> None:
        """Write a line to the harness, if it still runs."""
        with contextlib.suppress(OSError):
            os.write(self._harness, line.encode(errors="backslashreplace") + b"\n")

    def end_rest(self, packages: str) -> list[str]:
        """End all other processes of the command; return the names of the killed ones."""
        self._settle(SETTLE)
        names: dict[int, str] = {}
        groups: set[int] = set()
        deadline = time.monotonic() + KILL_TIMEOUT
        while self._reap() and time.monotonic() < deadline:
            found, killed = _kill_descendants(packages)
            names |= found
            groups |= killed
            self._listen(TICK)
        signal_group(self._command, signal.SIGKILL)
        # Processes that fork and end all the time may end before their names can be read.
        return list(names.values()) or [f"process group {group}" for group in sorted(groups)]

    def _settle(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self._reap() and (left := deadline - time.monotonic()) > 0:
            self._listen(left)

    def _reap(self) -> bool:
        """Reap the command and adopted processes that have ended; return whether others run."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return True
                if pid == self._command:
                    self._status = status
        return False

    def _timeout(self) -> float | None:
        """Return the seconds to wait for an event; a TICK if the end of the group is no event."""
        if self._deadline is None:
            return None
        left = max(0.0, self._deadline - time.monotonic())
        return left if self._adopts and left else TICK

    def _group_may_end(self) -> bool:
        """Return whether the command must end, and its group has processes and time left."""
        return self._deadline is not None and not self._is_late() and signal_group(self._command, 0)

    def _is_late(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline

    def _listen(self, timeout: float | None) -> None:
        ready, _, _ = select.select([self._signals, *self._sockets], [], [], timeout)
        if self._signals in ready and {*os.read(self._signals, 4096)} & {*_END}:
            self._end(self._grace)
        if self._harness in ready:
            self._read_requests()

    def _read_requests(self) -> None:
        chunk = b""
        with contextlib.suppress(ConnectionError):
            chunk = os.read(self._harness, 4096)
        *lines, self._received = (self._received + chunk).split(b"\n")
        for line in lines:
            request, _, value = line.partition(b" ")
            if request == b"end":
                self._end(float(value))
            self._detached = self._detached or request == b"detach"
        if not chunk:
            self._sockets = []
            if not self._detached:
                self._end(self._grace)

    def _end(self, grace: float) -> None:
        if self._deadline is None:
            self._deadline = time.monotonic() + grace
            signal_group(self._command, signal.SIGTERM)


def _wake_on_signals() -> int:
    """Return a descriptor from which the numbers of received signals can be read."""
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    signal.set_wakeup_fd(theirs, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, *_END):
        if number == signal.SIGCHLD or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
    return ours


def _kill_descendants(packages: str) -> tuple[dict[int, str], set[int]]:
    """Kill all descendants; return the names of live ones by pid, and the groups of all.

    They are killed by group: that also kills a group in which a new process starts all the time,
    for which a list of processes is never complete. A process that has ended and is not reaped yet
    still has its group.
    """
    try:
        psutil = _import_psutil(packages)
    except ImportError:
        return {}, set()
    found = psutil.Process().children(recursive=True)
    names = {each.pid: _name(psutil, each) for each in found if _lives(psutil, each)}
    groups = {_group_of(each.pid) for each in found} - {0, os.getpgrp()}
    for group in groups:
        signal_group(group, signal.SIGKILL)
    # FreeBSD has a call that kills all descendants together.
    _procctl(os.getpid(), _PROC_REAP_KILL, ctypes.byref(_ReaperKill(rk_sig=signal.SIGKILL)))
    return names, groups


def _group_of(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


def _import_psutil(packages: str) -> Any:
    # Imported only now: most commands leave no process behind.
    if packages not in sys.path:
        sys.path.append(packages)
    import psutil  # noqa: PLC0415

    return psutil


def _lives(psutil: Any, process: Any) -> bool:
    with contextlib.suppress(psutil.Error):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


def _name(psutil: Any, process: Any) -> str:
    words: list[str] = []
    with contextlib.suppress(psutil.Error):
        words = process.cmdline() or [process.name()]
    return f"{' '.join(' '.join(words).split())[:NAME_LENGTH]} (process {process.pid})"


def end_alike(status: int) -> NoReturn:
    """End this process with the same wait() status."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        import resource  # noqa: PLC0415

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def main() -> NoReturn:
    """Run the command until it ends, and end all processes that it leaves behind."""
    grace, packages, stdin, passed, *argv = sys.argv[1:]
    guard = Guard(os.dup(0), float(grace))
    descriptors = [int(each) for each in passed.split(",") if each]
    status = guard.run(argv, descriptors, int(stdin) if stdin else None)
    left = guard.end_rest(packages)
    for each in left[:NAMED]:
        guard.send(f"left {each}")
    if len(left) > NAMED:
        guard.send(f"left {len(left) - NAMED} more")
    if left:
        os.write(
            2,
            f"bsdgate: killed processes left behind: {'; '.join(left)}\n".encode(errors="replace"),
        )
    guard.send("ended")
    end_alike(status)


if __name__ == "__main__":
    main()
