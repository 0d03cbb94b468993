# SPDX-License-Identifier: Apache-2.0
"""The display while a cloud boots: a line for each service; plain lines without a terminal."""

import time
from collections.abc import Mapping
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table

_STYLES = {"serving": "green", "imported": "cyan", "died": "red"}


class BootDisplay:
    """Shows the events of a supervisor: a context manager that is called with each event."""

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        """Show on ``console``: live if it is a terminal, else a line per event unless ``quiet``."""
        self._console = console
        self._quiet = quiet
        self._states: dict[str, tuple[str, float]] = {}
        self._title = "Starting the cloud"
        self._began = time.monotonic()
        self._live = Live(
            get_renderable=self._table, console=console, transient=True, refresh_per_second=8
        )

    def __enter__(self) -> Self:
        """Start the display."""
        if self._console.is_terminal:
            self._live.start()
        else:
            self._print(f"{self._title} …")
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the display."""
        if self._console.is_terminal:
            self._live.stop()

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Show one event."""
        if event["event"] == "building":
            self._title = "Building the database templates (once per set of versions)"
            self._console.print(f"          {self._title} …", highlight=False)
        elif "service" in event and "seconds" in event:
            name, state, seconds = event["service"], event["event"], event["seconds"]
            self._states[name] = (state, seconds)
            if state != "importing":
                self._print(f"  {name:10} {state:9} {seconds:6.1f} s")

    def _print(self, line: str) -> None:
        if not self._console.is_terminal and not self._quiet:
            self._console.print(line, highlight=False)

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        seconds = time.monotonic() - self._began
        table.add_row(Spinner("dots", f"{self._title}  {seconds:.0f} s"))
        for name, (state, at) in self._states.items():
            style = _STYLES.get(state, "dim")
            table.add_row(f"  {name:10} [{style}]{state:9}[/] {at:.1f} s")
        return table
