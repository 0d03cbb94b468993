# SPDX-License-Identifier: Apache-2.0
"""The display of a run: its steps and, while tests run, a live view of them.

Without a terminal it consists of plain lines: each step, each failure, and a
count at intervals.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bsdgate.harness.commands.boot_display import BootDisplay
from bsdgate.results.ids import synthetic
from bsdgate.results.parsers.subunit import StatusEvent
from bsdgate.results.reporters.text import plain

PLAIN_INTERVAL: Final = 10.0
"""The number of seconds between two counts without a terminal."""

SHOWN: Final = 8
"""The maximum number of running tests that are shown."""

_BAD: Final = frozenset({"fail", "uxsuccess"})


class RunDisplay:
    """A listener of the pipeline that shows its events.

    ``durations`` are the seconds of each test in an earlier run, by test id: the
    remaining time is estimated from them.
    """

    def __init__(self, console: Console, durations: Mapping[str, float]) -> None:
        self._console = console
        self._durations = durations
        self._began = time.monotonic()
        self._boot: BootDisplay | None = None
        self._live: Live | None = None
        self._asked: set[str] = set()
        self._concurrency = 1
        self._running: dict[str, float] = {}
        self._done: Counter[str] = Counter()
        self._unfinished: set[str] = set()
        self._counted = 0.0

    def step(self, name: str) -> None:
        """Show that a step begins."""
        self._end_boot()
        elapsed = time.monotonic() - self._began
        self._console.print(f"[dim]{elapsed:6.1f} s[/]  [bold]{name}[/]", highlight=False)
        if name == "deploy":
            self._boot = BootDisplay(self._console, quiet=True)
            self._boot.__enter__()

    def report(self, text: str) -> None:
        """Show a line."""
        self._console.print(f"          {escape(text)}", highlight=False, soft_wrap=True)

    def cloud(self, event: Mapping[str, Any]) -> None:
        """Show an event of the cloud's supervisor."""
        if self._boot:
            self._boot(event)

    def tests_begin(self, ids: Sequence[str], concurrency: int) -> None:
        """Begin to show tests."""
        self._asked, self._unfinished = set(ids), set(ids)
        self._done.clear()
        self._concurrency = concurrency
        self.report(f"{len(ids)} tests, {concurrency} at a time")
        self._counted = time.monotonic()
        if self._console.is_terminal:
            self._live = Live(
                get_renderable=self._view,
                console=self._console,
                transient=True,
                refresh_per_second=4,
            )
            self._live.start()

    def test(self, event: StatusEvent) -> None:
        """Show one event of a test."""
        if event.status == "inprogress":
            self._running[event.id] = time.monotonic()
        elif event.status != "exists":
            self._running.pop(event.id, None)
            ended = self._ended_by(event)
            self._unfinished -= ended
            self._done[event.status] += len(ended)
            if event.status in _BAD:
                self._show_failure(event)
        if not self._live and time.monotonic() - self._counted > PLAIN_INTERVAL:
            self._counted = time.monotonic()
            self.report(self._count())

    def _ended_by(self, event: StatusEvent) -> set[str]:
        """Return the tests that an event ends: for a skipped or broken class, all that remain."""
        made = synthetic(event.id)
        if made is None or not made.scope:
            return {event.id} & self._asked
        return {test for test in self._unfinished if test.startswith(f"{made.scope}.")}

    def tests_end(self) -> None:
        """Stop showing tests."""
        self.end()
        self.report(self._count())

    def end(self) -> None:
        """Remove the live displays; the next step may start one again."""
        self._end_boot()
        if self._live:
            self._live.stop()
            self._live = None

    def _end_boot(self) -> None:
        if self._boot:
            self._boot.__exit__(None, None, None)
            self._boot = None

    def _show_failure(self, event: StatusEvent) -> None:
        what = f"[red]{event.status:>8}[/]  {escape(plain(event.id))}"
        self._console.print(what, highlight=False, soft_wrap=True)
        cause = raised(event.details or "") or (event.reason or "")
        if cause:
            self.report(plain(cause))

    def _count(self) -> str:
        done = len(self._asked) - len(self._unfinished)
        done_so = sorted(item for item in self._done.items() if item[1])
        states = ", ".join(f"{count} {status}" for status, count in done_so)
        return f"{done} of {len(self._asked)} done: {states or 'none yet'}"

    def _seconds_left(self) -> float | None:
        known = [self._durations[each] for each in self._unfinished if each in self._durations]
        if not known:
            return None
        unknown = len(self._unfinished) - len(known)
        return (sum(known) + unknown * sum(known) / len(known)) / self._concurrency

    def _view(self) -> Group:
        now, left = time.monotonic(), self._seconds_left()
        done = len(self._asked) - len(self._unfinished)
        head = Table.grid(padding=(0, 1))
        estimate = "" if left is None else f"about {left:.0f} s left"
        bar = ProgressBar(total=len(self._asked) or 1, completed=done, width=30)
        head.add_row("         ", bar, Text(self._count()), Text(estimate, style="cyan"))
        oldest = sorted(self._running.items(), key=lambda item: item[1])[:SHOWN]
        lines = [
            Text(f"          {now - since:5.0f} s  {plain(test)}", style="dim", overflow="ellipsis")
            for test, since in oldest
        ]
        return Group(head, *lines)


def raised(details: str) -> str:
    """Return the line with the exception of the last traceback in ``details``, or ""."""
    _, found, trace = details.rpartition("Traceback (most recent call last):")
    lines = trace.splitlines() if found else []
    return next((line for line in lines if line.strip() and not line.startswith(" ")), "")
