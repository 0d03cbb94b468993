# SPDX-License-Identifier: Apache-2.0
"""A listener of a run that keeps what it hears."""

from collections.abc import Mapping, Sequence
from typing import Any

from bsdgate.results.parsers.subunit import StatusEvent


class FakeListener:
    """Keeps the names of the steps, and what is said."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.said: list[str] = []

    def step(self, name: str) -> None:
        """Keep the name."""
        self.steps.append(name)

    def say(self, text: str) -> None:
        """Keep the text."""
        self.said.append(text)

    def cloud(self, event: Mapping[str, Any]) -> None:
        """Drop the event."""

    def tests_begin(self, ids: Sequence[str], concurrency: int) -> None:
        """Drop the ids."""

    def test(self, event: StatusEvent) -> None:
        """Drop the event."""

    def tests_end(self) -> None:
        """Do nothing."""
