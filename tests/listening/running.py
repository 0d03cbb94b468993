# SPDX-License-Identifier: Apache-2.0
"""A listener that is started again whenever it ends, as by rc.d and systemd."""

import signal
import threading
from collections.abc import Callable
from typing import Self

from votes.forking import Forker

STARTS = 20
"""The maximum number of starts of a trial."""


class Running:
    """A listener that runs until ``finish``; ``starts`` is how often it was started."""

    def __init__(self, forker: Forker, line: str) -> None:
        self.starts = 0
        self.problem = ""
        self._forker = forker
        self._line = line
        self._finishing = False
        self._before: list[Callable[[], None]] = []
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._finishing and not self.problem:
            while self._before:
                self._before.pop(0)()
            self.starts += 1
            self._forker.start(self._line)
            status = self._forker.wait()
            # Before it has its handler, SIGTERM ends it.
            if status not in {0, -signal.SIGKILL, -signal.SIGTERM}:
                self.problem = f"exit status {status}"
            if self.starts == STARTS:
                self.problem = f"not settled after {STARTS} starts"

    def kill(self, then: Callable[[], None] = lambda: None) -> None:
        """Kill the listener, call the function, and let it be started again."""
        self._before.append(then)
        self._forker.kill()

    def stop(self) -> None:
        """End the listener in an orderly way, and let it be started again."""
        self._forker.kill(signal.SIGTERM)

    def finish(self) -> None:
        """End the listener."""
        self._finishing = True
        self._forker.kill(signal.SIGTERM)
        self._thread.join()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()
