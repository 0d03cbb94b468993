# SPDX-License-Identifier: Apache-2.0
"""The progress of work that can take long: stages, each with a number of bytes."""

from typing import Protocol


class Listener(Protocol):
    """Receives the progress."""

    def stage(self, name: str, what: str, total: int | None = None) -> None:
        """Begin a stage, which ends when the next one begins; ``total`` bytes are to be done."""

    def advance(self, done: int) -> None:
        """Receive the number of bytes that are done in this stage."""


class Silent:
    """A listener that shows nothing."""

    def stage(self, name: str, what: str, total: int | None = None) -> None:
        """Do nothing."""

    def advance(self, done: int) -> None:
        """Do nothing."""
