# SPDX-License-Identifier: Apache-2.0
"""The folder of a run on a node that is not this machine, made there by an agent.

The agent holds the folder's lock as long as it lives, so that what a killed run has left is known.
"""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bsdgate.harness import files, folders, paths
from bsdgate.harness.errors import UsageError
from bsdgate.harness.nodes import facts

LOCK: Final = "lock"
LOCK_SECONDS: Final = 60.0
PROBE_SECONDS: Final = 5.0


class RunFolder:
    """Makes the folder, removes it with the end of the run, and answers questions of the node."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._lock = -1
        self._listener: socket.socket | None = None

    def make(self, _report: Any, *, name: str) -> str:
        """Make the folder of the run ``name``, after the folders of runs that are over are gone.

        :raises UsageError: the run is in progress.
        """
        assert Path(name).name == name
        folders.tighten(*paths.by_default())
        root = paths.state() / "nodes"
        with files.explained(root):
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
            raise UsageError(f"the run {name} is in progress", "wait for its end, or end it")
        self._folder, self._lock = folder, lock
        return str(folder)

    def facts(self, _report: Any) -> dict[str, str]:
        """Return the properties of the node."""
        return facts.local()

    def listen(self, _report: Any) -> int:
        """Listen on a loopback port, and return it; ``hear`` takes what comes."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        port: int = self._listener.getsockname()[1]
        return port

    def hear(self, _report: Any) -> str:
        """Return what the first client of the port has sent; nothing if none came in time."""
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
        """Remove the folder, unless a cloud in it was kept."""
        if self._folder is None:
            return
        root = self._folder.parent
        with files.exclusive(root / ".lock", LOCK_SECONDS):
            os.close(self._lock)
            if not _is_in_use(self._folder):
                folders.remove_tree(self._folder, inside=root)
        self._folder = None


def _is_in_use(folder: Path) -> bool:
    """Whether a run works in the folder, or a cloud that it has kept."""
    return any(files.is_locked(lock) for lock in (folder / LOCK, *_locks_of_clouds(folder)))


def _locks_of_clouds(folder: Path) -> Iterator[Path]:
    yield from folder.glob("cloud/lock")
    yield from folder.glob("*/cloud/lock")
