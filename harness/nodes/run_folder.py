# SPDX-License-Identifier: Apache-2.0
"""The directory of a run on another machine, made there by the agent.

The agent locks the directory until it ends: a directory without a lock was left by a killed run.
"""

import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bsdgate.harness import files, folders, paths
from bsdgate.harness.errors import UsageError
from bsdgate.harness.nodes import facts, inspection, kernel, speed

LOCK: Final = "lock"
# Not multiplied by the factor for slow nodes: another process holds the lock only for a moment,
# and the probe is a connection on the loopback interface.
LOCK_SECONDS: Final = 60.0
PROBE_SECONDS: Final = 5.0


class RunFolder:
    """Makes the directory of a run, removes it after the run, and returns facts of the node."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._lock = -1
        self._listener: socket.socket | None = None

    def make(self, _report: Any, *, name: str) -> str:
        """Remove directories that killed runs left, then make the directory of the run ``name``.

        :raises UsageError: the run is in progress.
        """
        assert Path(name).name == name
        folders.tighten(*paths.by_default())
        root = paths.state() / "nodes"
        with files.explain_errors(root):
            folders.make(root)
        with files.exclusive(root / ".lock", LOCK_SECONDS):
            for old in root.iterdir():
                if folders.is_marked(old) and not _is_in_use(old):
                    folders.remove_tree(old, inside=root)
            folder = root / name
            if not folder.exists():
                folders.make_marked(folder)
            lock = files.take_lock(folder / LOCK)
        if lock is None:
            raise UsageError(f"the run {name} is in progress", "wait until it ends, or stop it")
        if folders.is_marked(Path(sys.prefix)):
            # The installer of a bootstrap removes environments that are not used any more.
            os.utime(sys.prefix)
        self._folder, self._lock = folder, lock
        return str(folder)

    def facts(self, _report: Any) -> dict[str, str]:
        """Return the properties of the node."""
        return facts.local()

    def speed(self, _report: Any) -> float:
        """Return the seconds of the import benchmark on the node."""
        return speed.seconds()

    def inspect(self, _report: Any) -> dict[str, Any]:
        """Return the packages, the repositories and the uptime of the node."""
        return inspection.here()

    def kernel_buffer(self, _report: Any) -> dict[str, Any]:
        """Return the lines of the kernel's message buffer, and the user id."""
        return kernel.here()

    def time(self, _report: Any) -> float:
        """Return the time of the node, in seconds since 1970."""
        return time.time()

    def listen(self, _report: Any) -> int:
        """Listen on a loopback port, and return its number; ``receive`` accepts a client."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        port: int = self._listener.getsockname()[1]
        return port

    def receive(self, _report: Any) -> str:
        """Return the data of the port's first client; an empty string if no client connects."""
        assert self._listener is not None
        self._listener.settimeout(PROBE_SECONDS)
        try:
            connection, _ = self._listener.accept()
            with connection:
                connection.settimeout(PROBE_SECONDS)
                return connection.recv(100).decode(errors="replace")
        except OSError:
            return ""

    def stop_listening(self, _report: Any) -> None:
        """Close the port."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def close(self) -> None:
        """Remove the directory, unless it contains a cloud that was kept."""
        if self._folder is None:
            return
        root = self._folder.parent
        with files.exclusive(root / ".lock", LOCK_SECONDS):
            os.close(self._lock)
            if not _is_in_use(self._folder):
                folders.remove_tree(self._folder, inside=root)
        self._folder = None


def _is_in_use(folder: Path) -> bool:
    """Return whether a run, or a cloud that it kept, uses the directory."""
    return any(files.is_locked(lock) for lock in (folder / LOCK, *_locks_of_clouds(folder)))


def _locks_of_clouds(folder: Path) -> Iterator[Path]:
    yield from folder.glob("cloud/lock")
    yield from folder.glob("*/cloud/lock")
