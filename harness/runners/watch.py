# SPDX-License-Identifier: Apache-2.0
"""Looks after the process that runs the tests, and after what it stands on."""

import time
from collections.abc import Callable, Sequence
from typing import Final

from bsdgate.harness import process
from bsdgate.results.problems import Problem

TICK: Final = 0.5
"""Seconds between two looks at what the tests stand on."""


def watch(
    running: process.Running, take: Callable[[bytes], None], look: Callable[[], Sequence[Problem]]
) -> tuple[int, list[Problem]]:
    """Hand on what the process writes until it ends; return its status and what went wrong.

    ``take`` gets each piece of its output. ``look`` says what makes going on pointless; the process
    is ended as soon as there is anything.
    """
    problems: Sequence[Problem] = ()
    looked = time.monotonic()
    while not problems and (chunk := running.read(TICK)) != b"":
        take(chunk or b"")
        if time.monotonic() - looked > TICK:
            problems = look()
            looked = time.monotonic()
    status = running.terminate() if problems else running.wait()
    assert status is not None  # there was no time limit
    return status, list(problems or look())
