# SPDX-License-Identifier: Apache-2.0
"""The pipe that ends a cloud together with the process that started it, the *starter*.

The starter holds the write end, the supervisor the read end. If the pipe closes and the message
DETACH was not sent, the starter has ended in some way, and the supervisor ends the cloud. No
process of the cloud has the write end, and only the supervisor has the read end.
"""

import os
import socket
from collections.abc import Iterable
from multiprocessing.connection import Connection, wait
from typing import Final

DETACH: Final = b"detach"
"""The message after which the cloud outlives its starter."""

End = Connection | socket.socket


class StarterEnd:
    """The write end of the pipe, in the starter."""

    def __init__(self) -> None:
        """Make the pipe."""
        self.other, ours = os.pipe()
        self._pipe = Connection(ours, readable=False)

    def give(self) -> None:
        """Close the read end in this process, after the supervisor has inherited it."""
        os.close(self.other)

    def detach(self) -> None:
        """Let the cloud outlive this process.

        :raises BrokenPipeError: the supervisor has ended.
        """
        self._pipe.send_bytes(DETACH)
        self.close()

    def close(self) -> None:
        """Close the write end; a second call does nothing."""
        self._pipe.close()


class SupervisorEnd:
    """The read end of the pipe, in the supervisor, which watches the pipe in every wait."""

    def __init__(self, descriptor: int) -> None:
        """Take the inherited descriptor; no other program inherits it."""
        os.set_inheritable(descriptor, False)
        self._pipe: Connection | None = Connection(descriptor, writable=False)

    @property
    def ends(self) -> list[Connection]:
        """The read end while it is open, else an empty list."""
        return [self._pipe] if self._pipe else []

    def wait(self, ends: Iterable[End]) -> list[object]:
        """Wait until some of ``ends`` can be read, and return them.

        :raises SystemExit: the starter has ended.
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
        """Close the read end: the cloud outlives its starter; a second call does nothing."""
        if self._pipe:
            self._pipe.close()
            self._pipe = None
