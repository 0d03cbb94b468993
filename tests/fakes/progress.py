# SPDX-License-Identifier: Apache-2.0
"""A listener of the progress of images that records it."""


class Recorder:
    """A listener that records the stages, and the numbers of bytes of each."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, str, int | None]] = []
        self.done: list[int] = []

    def stage(self, name: str, what: str, total: int | None = None) -> None:
        """Record the stage."""
        self.stages.append((name, what, total))

    def advance(self, done: int) -> None:
        """Record the number."""
        self.done.append(done)
