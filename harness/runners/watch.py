# SPDX-License-Identifier: Apache-2.0
"""Monitors the process that runs the tests, and the deployment under test."""

import time
from collections.abc import Callable, Sequence
from typing import Final

from bsdgate.harness import process
from bsdgate.results.problems import Problem

TICK: Final = 0.5
"""The number of seconds between two checks of the deployment."""


def watch(
    running: process.Running, take: Callable[[bytes], None], look: Callable[[], Sequence[Problem]]
) -> tuple[int, list[Problem]]:
    """Pass on the output of a process until it ends; return its exit status and the problems.

    ``take`` receives each piece of the output. If ``look`` returns a problem, the process is ended.
    """
    problems: Sequence[Problem] = ()
    looked = time.monotonic()
    while not problems and (chunk := running.read(TICK)) != b"":
        take(chunk or b"")
        if time.monotonic() - looked > TICK:
            problems = look()
            looked = time.monotonic()
    status = running.terminate() if problems else running.wait()
    assert status is not None  # wait() had no time limit
    return status, list(problems or look())
