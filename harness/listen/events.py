# SPDX-License-Identifier: Apache-2.0
"""Gerrit's stream-events: the patchsets that are uploaded, read by the ssh client in a thread."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bsdgate.harness import process
from bsdgate.harness.errors import InfrastructureError
from bsdgate.harness.listen.settings import Events as Settings

SUBSCRIBED: Final = 60.0
"""The seconds after the start of the ssh client from which on no event is missed."""

_COMMAND: Final = ("gerrit", "stream-events", "--subscribe", "patchset-created")
_OPTIONS: Final = ("BatchMode=yes", "ServerAliveInterval=30", "ConnectTimeout=30")
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
_LINE_BOUND: Final = 1 << 20
_READ: Final = 1.0
"""The seconds after which the thread looks whether it must end."""


@dataclass(frozen=True, slots=True)
class Patchset:
    """An uploaded patchset."""

    project: str
    change: int
    number: int
    uploaded: datetime

    def __str__(self) -> str:
        return f"{self.change},{self.number}"


class Events:
    """Calls ``add`` for each uploaded patchset, in another thread, until ``stop``."""

    def __init__(
        self,
        settings: Settings,
        log: Path,
        add: Callable[[Patchset], None],
        report: Callable[[str], None],
    ) -> None:
        """Start no process yet. ``log`` gets the errors of the ssh client."""
        self._log: Final = log
        self._add: Final = add
        self._report: Final = report
        options = [word for option in _OPTIONS for word in ("-o", option)]
        config = ["-F", str(settings.config)] if settings.config else []
        self._argv: Final = ["ssh", "-T", *config, *options, "--", settings.destination, *_COMMAND]
        self._stopping: Final = threading.Event()
        self._thread: Final = threading.Thread(target=self._run, name="events")
        self.began: float | None = None
        """When the running client was started (``time.monotonic``); None if none runs."""

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """End the client and the thread."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        pause = _FIRST_PAUSE
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                problem = self._read()
            except InfrastructureError as error:
                problem = str(error)
            self.began = None
            if not self._stopping.is_set():
                self._report(f"Gerrit's events have ended: {problem}; trying again")
            pause = _FIRST_PAUSE if time.monotonic() - began > SUBSCRIBED else 2 * pause
            self._stopping.wait(min(pause, _LONGEST_PAUSE))

    def _read(self) -> str:
        """Read events until the client ends; return why it ended."""
        with process.start(self._argv, log=self._log, stdout=process.PIPE) as running:
            self.began = time.monotonic()
            left = b""
            while chunk := self._chunk(running):
                *lines, left = (left + chunk).split(b"\n")
                for found in filter(None, map(parse, lines)):
                    self._add(found)
                left = left[-_LINE_BOUND:]
            if self._stopping.is_set():
                return ""
            running.wait()
            return f"ssh has ended with {running.exit_status} {running.last_lines().strip()}"

    def _chunk(self, running: process.Running) -> bytes:
        """Return the next bytes; nothing at the end, or if the listener is stopped."""
        while not self._stopping.is_set():
            if (chunk := running.read(_READ)) is not None:
                return chunk
        return b""


def parse(line: bytes) -> Patchset | None:
    """Return the patchset of an event; None if the line is not such an event."""
    try:
        event: dict[str, Any] = json.loads(line)
        if event["type"] != "patchset-created":
            return None
        change, patchset = event["change"], event["patchSet"]
        uploaded = datetime.fromtimestamp(int(patchset["createdOn"]), UTC)
        number = int(patchset["number"])
        return Patchset(str(change["project"]), int(change["number"]), number, uploaded)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
