# SPDX-License-Identifier: Apache-2.0
"""Runs one command on a node, and ends all of its processes when the controller is lost.

``python -m bsdgate.harness.nodes.tether LOCK COMMAND...``: the command has no input. It is ended
when the standard input of this process ends, and when the file LOCK is unlocked: the agent of the
run holds that lock, and ends when it receives nothing from its controller.
"""

import fcntl
import os
import select
import shutil
import socket
import sys
import threading
from pathlib import Path
from typing import NoReturn

import psutil

from bsdgate.harness import guard, process


def main() -> NoReturn:
    """Run the command under a guard; a watcher process replaces the harness."""
    lock, *argv = sys.argv[1:]
    program = shutil.which(argv[0])
    if program is None:
        path = os.environ.get("PATH", "")
        sys.stderr.write(f"there is no program {argv[0]} on PATH={path}\n")
        sys.exit(127)
    ours, theirs = socket.socketpair()
    _start_watcher(ours, Path(lock))
    theirs_fd = theirs.detach()
    running = guard.Guard(theirs_fd, process.GRACE)
    status = running.run([program, *argv[1:]], [])
    running.end_rest(str(Path(psutil.__file__).parents[1]))
    guard.end_alike(status)


def _start_watcher(harness: socket.socket, lock: Path) -> None:
    """Start the process that holds the harness's end of the socket, as a daemon.

    The guard would treat one of its own child processes as a part of the command.
    """
    child = os.fork()
    if not child:
        if not os.fork():
            _watch(harness, lock)
        os._exit(0)
    os.waitpid(child, 0)
    harness.close()
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)


def _watch(harness: socket.socket, lock: Path) -> NoReturn:
    """End when the controller or the guard has ended; this closes the guard's socket."""
    null = os.open(os.devnull, os.O_WRONLY)
    for output in (1, 2):
        os.dup2(null, output)
    threading.Thread(target=_end_without, args=(lock,), daemon=True).start()
    while True:
        ready, _, _ = select.select([0, harness.fileno()], [], [])
        if not all(os.read(each, 4096) for each in ready):
            os._exit(0)


def _end_without(lock: Path) -> NoReturn:
    """End when the lock is free, or the file is removed."""
    try:
        fd = os.open(lock, os.O_RDONLY)
        fcntl.flock(fd, fcntl.LOCK_SH)
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()
