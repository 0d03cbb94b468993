# SPDX-License-Identifier: Apache-2.0
"""The progress of an image: a bar on a terminal, else a line now and then."""

import time
from typing import Final, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from bsdgate.results.reporters.text import plain

PROGRESS_AFTER: Final = 2.0
"""The number of seconds after which a stage shows its progress."""

LINE_EVERY: Final = 30.0
"""The seconds between two lines without a terminal."""

_UNITS: Final = ("B", "KiB", "MiB", "GiB")
_STEP: Final = 1024


class ImageDisplay:
    """A listener of images that shows each stage that takes long; a context manager."""

    def __init__(self, console: Console) -> None:
        """Show on ``console``."""
        self._console = console
        columns = (DownloadColumn(binary_units=True), TransferSpeedColumn(), TimeRemainingColumn())
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), *columns, console=console, transient=True
        )
        self._bar = self._progress.add_task("")
        self._title = ""
        self._total: int | None = None
        self._next = 0.0

    def __enter__(self) -> Self:
        """Show nothing yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the bar."""
        if self._progress.live.is_started:
            self._progress.stop()

    def stage(self, name: str, what: str, total: int | None = None) -> None:
        """Begin a stage."""
        self._title = f"{name}: {plain(what)}"
        self._total = total
        self._next = time.monotonic() + PROGRESS_AFTER
        self._progress.reset(self._bar, total=total, description=escape(self._title))
        if total is None:
            self._print(self._title)

    def advance(self, done: int) -> None:
        """Show the number of bytes that are done, if it is time."""
        now = time.monotonic()
        self._progress.update(self._bar, completed=done)
        if now < self._next:
            return
        if self._console.is_terminal:
            self._progress.start()
        else:
            self._next = now + LINE_EVERY
            of_total = "" if self._total is None else f" of {size(self._total)}"
            self._print(f"{self._title}: {size(done)}{of_total}")

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def size(number: int) -> str:
    """Return a number of bytes for people: 1.4 GiB."""
    value, unit = float(number), 0
    while value >= _STEP and unit + 1 < len(_UNITS):
        value, unit = value / _STEP, unit + 1
    return f"{value:.1f} {_UNITS[unit]}" if unit else f"{number} B"
