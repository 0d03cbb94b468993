# SPDX-License-Identifier: Apache-2.0
"""One service as the supervisor sees it, and how it fails."""

import shutil
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bsdgate.harness.cloud import service
from bsdgate.harness.errors import InfrastructureError, UsageError

LOG_LINES = 20

Event = dict[str, Any]


class ServiceFailed(Exception):
    """A service did not do what it was told; carries its name and last log lines."""

    def __init__(self, name: str, what: str, log: Path) -> None:
        """Keep what a person needs to see why."""
        super().__init__(f"{name}: {what}")
        self.event: Event = {
            "event": "failed",
            "service": name,
            "message": what,
            "log": str(log),
            "lines": last_lines(log),
        }


class PortTaken(OSError):
    """A port that a service was to listen on cannot be had: ``filename`` is "port N of NAME"."""


FAILURES = (ServiceFailed, InfrastructureError, UsageError, OSError)
"""What can go wrong with a cloud that is no mistake in its code."""


def describe_failure(failure: Exception) -> Event:
    """Return the event that tells of one of FAILURES."""
    if isinstance(failure, ServiceFailed):
        return failure.event
    if isinstance(failure, InfrastructureError | UsageError):
        return {"event": "failed", "message": failure.message, "hint": failure.hint}
    if isinstance(failure, PortTaken):
        text = f"cannot listen on {failure.filename}: {failure.strerror}"
        name = failure.filename.rpartition(" ")[2]
        hint = f"choose another port: --port {name}=NUMBER, or end what listens there"
        return {"event": "failed", "message": text, "hint": hint}
    if isinstance(failure, shutil.Error):
        # A copied tree tells of each of its files; one is enough.
        _, target, why = failure.args[0][0]
        text = f"cannot write {target}: {why}"
    else:
        text = str(failure)
    hint = "make room, or choose another place with BSDGATE_STATE_DIR or BSDGATE_CACHE_DIR"
    return {"event": "failed", "message": text, "hint": hint}


class Unit:
    """One service as the supervisor sees it.

    ``state`` goes importing, imported, starting, serving; died when its worker
    or nursery ended unasked.
    """

    def __init__(self, name: str, pipe: Connection, nursery: int) -> None:
        """Begin with a nursery that imports."""
        self.name = name
        self.pipe = pipe
        self.nursery = nursery
        self.state = "importing"
        self.pid: int | None = None
        self.exit_status: int | None = None
        self.after = service.load(name).AFTER


def last_lines(log: Path, count: int = LOG_LINES) -> list[str]:
    """Return the last lines of a log, or none if there is no log."""
    try:
        return log.read_text(errors="replace").splitlines()[-count:]
    except FileNotFoundError:
        return []
