# SPDX-License-Identifier: Apache-2.0
"""Looks after the process that runs the tests, and after what it stands on."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bsdgate.harness import process
from bsdgate.results.codes import Code
from bsdgate.results.problems import Problem

TICK: Final = 0.5
"""Seconds between two looks at what the tests stand on."""

LAST_LINES: Final = 10


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


def complaints(status: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with a cloud, by its supervisor's status: each service that died."""
    if status["state"] == "ready":
        return []
    return [
        Problem(Code.SERVICE_DIED, _death(name, each))
        for name, each in status["services"].items()
        if each["state"] == "died"
    ] or [Problem(Code.CLOUD_NOT_READY, f"the cloud is {status['state']}")]


def _death(name: str, service: Mapping[str, Any]) -> str:
    last = "\n".join(_last_lines(Path(service["log"])))
    return f"{name} died with status {service['exit_status']}; its last lines:\n{last}"


def _last_lines(log: Path) -> list[str]:
    try:
        return log.read_text(errors="replace").splitlines()[-LAST_LINES:]
    except FileNotFoundError:
        return []
