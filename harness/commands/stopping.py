# SPDX-License-Identifier: Apache-2.0
"""The end of a command by a signal."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stoppable() -> Iterator[None]:
    """Let SIGTERM and SIGHUP stop the block as Ctrl-C does.

    A signal that was ignored when bsdgate started, such as SIGHUP under nohup, stays ignored.
    """

    def stop(_signal: int, _frame: FrameType | None) -> None:
        # Only once: a second Ctrl-C must not interrupt the clean-up.
        for number in before:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {
        number: signal.getsignal(number)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
