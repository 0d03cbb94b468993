# SPDX-License-Identifier: Apache-2.0
"""The supervisor's record of one service, and the failures of a cloud."""

import shutil
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bsdgate.harness.cloud import service
from bsdgate.harness.errors import InfrastructureError, UsageError

LOG_LINES = 20

SupervisorEvent = dict[str, Any]


class ServiceFailed(Exception):
    """A service did not carry out a request; ``event`` has its name and its last log lines."""

    def __init__(self, name: str, what: str, log: Path) -> None:
        """Make the event from the service, the failure and the log."""
        super().__init__(f"{name}: {what}")
        self.event: SupervisorEvent = {
            "event": "failed",
            "service": name,
            "message": what,
            "log": str(log),
            "lines": last_lines(log),
        }


class PortTaken(OSError):
    """A service cannot listen on its port; ``filename`` is "port N of NAME"."""


FAILURES = (ServiceFailed, InfrastructureError, UsageError, OSError)
"""The failures of a cloud that are not defects of bsdgate."""


def describe_failure(failure: Exception) -> SupervisorEvent:
    """Return the event that reports one of FAILURES."""
    if isinstance(failure, ServiceFailed):
        return failure.event
    if isinstance(failure, InfrastructureError | UsageError):
        return {"event": "failed", "message": failure.message, "hint": failure.hint}
    if isinstance(failure, PortTaken):
        text = f"cannot listen on {failure.filename}: {failure.strerror}"
        name = failure.filename.rpartition(" ")[2]
        hint = f"choose another port: --port {name}=NUMBER, or end the program that uses this port"
        return {"event": "failed", "message": text, "hint": hint}
    if isinstance(failure, shutil.Error):
        # The exception lists every file that was not copied; the first is enough.
        _, target, why = failure.args[0][0]
        text = f"cannot write {target}: {why}"
    else:
        text = str(failure)
    hint = "free disk space, or set BSDGATE_STATE_DIR or BSDGATE_CACHE_DIR to another directory"
    return {"event": "failed", "message": text, "hint": hint}


class Unit:
    """The supervisor's record of one service.

    ``state`` is, in this order, importing, imported, starting, serving. It is
    died when the worker or the preloaded parent ended without a request.
    ``pid`` is the process id of the worker.
    """

    def __init__(self, name: str, pipe: Connection, parent_pid: int) -> None:
        """Take the preloaded parent, which is importing the service, and the pipe to it."""
        self.name = name
        self.pipe = pipe
        self.parent_pid = parent_pid
        self.state = "importing"
        self.pid: int | None = None
        self.exit_status: int | None = None
        self.after = service.load(name).AFTER


def last_lines(log: Path, count: int = LOG_LINES) -> list[str]:
    """Return the last lines of a log, or an empty list if there is no log."""
    try:
        return log.read_text(errors="replace").splitlines()[-count:]
    except FileNotFoundError:
        return []
