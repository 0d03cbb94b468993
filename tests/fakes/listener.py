# SPDX-License-Identifier: Apache-2.0
"""A listener of a run that records the steps and lines."""

from collections.abc import Mapping, Sequence
from typing import Any

from bsdgate.results.parsers.subunit import StatusEvent


class FakeListener:
    """Records the names of the steps, and the lines for the user."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.reported: list[str] = []

    def step(self, name: str) -> None:
        """Record the name."""
        self.steps.append(name)

    def report(self, text: str) -> None:
        """Record the text."""
        self.reported.append(text)

    def cloud(self, event: Mapping[str, Any]) -> None:
        """Ignore the event."""

    def tests_begin(self, ids: Sequence[str], concurrency: int) -> None:
        """Ignore the ids."""

    def test(self, event: StatusEvent) -> None:
        """Ignore the event."""

    def tests_end(self) -> None:
        """Do nothing."""
