# SPDX-License-Identifier: Apache-2.0
"""The tests of a stream that are in progress, with their attachments, in bounded memory."""

from dataclasses import dataclass
from datetime import datetime

from bsdgate.results.parsers.details import Details

OPEN_BOUND = 2_000
"""Tests in progress at once. A runner has some dozens; in a stream without ends it is all tests."""

ENDED_BOUND = 20_000
"""Tests that are remembered as ended."""

HELD_BOUND = 32 << 20
"""Bytes of all attachments of tests in progress. Late attachments get half of that."""


@dataclass(slots=True)
class Entry:
    """A test in progress: when it began, and its attachments, if the stream has them."""

    started: datetime | None = None
    details: Details | None = None


class Progress:
    """Tests from their begin, or their first attachment, to their end.

    An attachment of a test that has ended is *late*, until the test begins or ends again.
    ``crowded`` says that there were more tests in progress than OPEN_BOUND.
    """

    def __init__(self) -> None:
        self._open: dict[str, Entry] = {}
        self._late: dict[str, Entry] = {}
        self._ended: set[str] = set()
        self.held = 0
        self.crowded = False

    def begin(self, test_id: str, started: datetime | None) -> None:
        """Take the begin of a test."""
        if entry := self._late.pop(test_id, None):
            self._open[test_id] = entry
        if entry := self._open.get(test_id) or self._add(test_id):
            entry.started = started

    def attach(
        self, test_id: str, offset: int, name: str, mime_type: str | None, data: bytes
    ) -> None:
        """Take a chunk of an attachment; ``offset`` is where its packet begins in the stream."""
        late = test_id in self._ended and test_id not in self._open
        entry = self._late.setdefault(test_id, Entry()) if late else self._open.get(test_id)
        entry = entry or self._add(test_id)
        if entry is None:
            return
        if entry.details is None:
            entry.details = Details(offset)
        if self.held + len(data) > (HELD_BOUND // 2 if late else HELD_BOUND):
            entry.details.dropped += 1
        else:
            self.held += entry.details.add(name, mime_type, data)

    def end(self, test_id: str) -> Entry:
        """Take the end of a test and return what is known of it."""
        if len(self._ended) < ENDED_BOUND:
            self._ended.add(test_id)
        entry = self._open.pop(test_id, None) or self._late.pop(test_id, None) or Entry()
        self.held -= entry.details.held if entry.details else 0
        return entry

    @property
    def unfinished(self) -> tuple[str, ...]:
        """The ids of the tests that have not ended."""
        return tuple(self._open)

    @property
    def late(self) -> tuple[str, ...]:
        """The ids of the tests with attachments after their end."""
        return tuple(self._late)

    def _add(self, test_id: str) -> Entry | None:
        if len(self._open) >= OPEN_BOUND:
            self.crowded = True
            return None
        entry = self._open[test_id] = Entry()
        return entry
