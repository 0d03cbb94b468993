# SPDX-License-Identifier: Apache-2.0
"""The pipe by which a cloud ends with the process that started it.

The starter holds the end that is written to, the supervisor the one that is read from. A pipe that
closes without the word DETACH means that the starter is gone, however it ended: so is the cloud
then. No process of the cloud has the starter's end, and no other process the supervisor's.
"""

import os
import socket
from collections.abc import Iterable
from multiprocessing.connection import Connection, wait
from typing import Final

DETACH: Final = b"detach"
"""The word that lets the cloud outlive its starter."""

End = Connection | socket.socket


class StarterEnd:
    """The end of the process that starts a cloud."""

    def __init__(self) -> None:
        """Make the pipe."""
        self.other, ours = os.pipe()
        self._pipe = Connection(ours, readable=False)

    def give(self) -> None:
        """Close the other end here: the supervisor has it now."""
        os.close(self.other)

    def detach(self) -> None:
        """Let the cloud go on without this process (BrokenPipeError: its supervisor is gone)."""
        self._pipe.send_bytes(DETACH)
        self.close()

    def close(self) -> None:
        """Close the end; once more is harmless."""
        self._pipe.close()


class SupervisorEnd:
    """The end of the supervisor, which waits for its starter whatever else it waits for."""

    def __init__(self, descriptor: int) -> None:
        """Take the inherited descriptor, and keep it from other programs."""
        os.set_inheritable(descriptor, False)
        self._pipe: Connection | None = Connection(descriptor, writable=False)

    @property
    def ends(self) -> list[Connection]:
        """The connection, while it is open."""
        return [self._pipe] if self._pipe else []

    def wait(self, ends: Iterable[End]) -> list[object]:
        """Wait until some of ``ends`` can be read, and return them.

        :raises SystemExit: the starter is gone.
        """
        ends = list(ends)
        while True:
            ready: list[object] = list(wait([*ends, *self.ends]))
            if self._pipe in ready:
                ready.remove(self._pipe)
                self._read()
            if ready:
                return ready

    def _read(self) -> None:
        assert self._pipe is not None
        try:
            self._pipe.recv_bytes()
        except (EOFError, ConnectionError):
            raise SystemExit(0) from None
        self.close()

    def close(self) -> None:
        """Close the end: the cloud goes on by itself; once more is harmless."""
        if self._pipe:
            self._pipe.close()
            self._pipe = None
