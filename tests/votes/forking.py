# SPDX-License-Identifier: Apache-2.0
"""A process that forks a process for each line of input, so that a start needs no imports.

The module that is run with ``python -m`` calls ``serve``. For each line it prints the process id of
the started process, waits for its end, and prints its exit status (negative: ended by a signal).
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self

TESTS = Path(__file__).parents[1]


class Forker:
    """The client of a module that calls ``serve``: it runs one process at a time."""

    def __init__(self, module: str) -> None:
        self._popen = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=TESTS,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._pid = 0
        self._changing = threading.Lock()

    def start(self, line: str) -> None:
        """Start a process with this line."""
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._popen.stdin.write(f"{line}\n")
        self._popen.stdin.flush()
        with self._changing:
            self._pid = int(self._popen.stdout.readline())

    def wait(self) -> int:
        """Return the exit status of the started process."""
        assert self._popen.stdout is not None
        status = int(self._popen.stdout.readline())
        with self._changing:
            self._pid = 0
        return status

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the started process, if it still runs."""
        with self._changing, contextlib.suppress(ProcessLookupError):
            if self._pid:
                os.kill(self._pid, number)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._popen:
            pass


def serve(run: Callable[[str], int]) -> None:
    """Run the function in a process of its own for each line of standard input.

    The process is killed if standard input ends before it.
    """
    while line := _read_line():
        ended, end = os.pipe()
        if not (pid := os.fork()):
            os.close(ended)
            os._exit(run(line))
        os.close(end)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
        # Only the started process has the other end of the pipe.
        if ended not in select.select([ended, sys.stdin], [], [])[0]:
            os.kill(pid, signal.SIGKILL)
        os.close(ended)
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _read_line() -> str:
    """Return the next line without buffering more of the input; empty at its end."""
    found = b""
    while (byte := os.read(sys.stdin.fileno(), 1)) and byte != b"\n":
        found += byte
    return found.decode()
