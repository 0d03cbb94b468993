# SPDX-License-Identifier: Apache-2.0
"""The tests of a stream that are in progress, with their attachments, in bounded memory."""

from datetime import datetime

from bsdgate.results.parsers.details import Details

OPEN_BOUND = 2_000
"""Tests in progress at once. A runner has some dozens; in a stream without ends it is all tests."""

ENDED_BOUND = 20_000
"""Tests that are remembered as ended."""

HELD_BOUND = 32 << 20
"""Bytes of all attachments of tests in progress. Late attachments get half of that."""


class Progress:
    """Tests from their begin, or their first attachment, to their end.

    An attachment of a test that has ended is *late*, until the test begins or ends again.
    ``crowded`` says that there were more tests in progress than OPEN_BOUND.
    """

    def __init__(self) -> None:
        self.unfinished: dict[str, Details] = {}
        self.late: dict[str, Details] = {}
        self._ended: set[str] = set()
        self._held = 0
        self.crowded = False

    def begin(self, test_id: str, started: datetime | None) -> None:
        """Take the begin of a test."""
        if details := self.late.pop(test_id, None):
            self.unfinished[test_id] = details
        if details := self._open(test_id):
            details.started = started

    def attach(
        self, test_id: str, offset: int, name: str, mime_type: str | None, data: bytes
    ) -> None:
        """Take a chunk of an attachment; ``offset`` is where its packet begins in the stream."""
        late = test_id in self._ended and test_id not in self.unfinished
        details = self.late.setdefault(test_id, Details()) if late else self._open(test_id)
        if details is None:
            return
        if details.offset is None:
            details.offset = offset
        if self._held + len(data) > (HELD_BOUND // 2 if late else HELD_BOUND):
            details.dropped += 1
        else:
            self._held -= details.held
            details.add(name, mime_type, data)
            self._held += details.held

    def end(self, test_id: str) -> Details:
        """Take the end of a test and return what is known of it."""
        if len(self._ended) < ENDED_BOUND:
            self._ended.add(test_id)
        details = self.unfinished.pop(test_id, None) or self.late.pop(test_id, None) or Details()
        self._held -= details.held
        return details

    def _open(self, test_id: str) -> Details | None:
        details = self.unfinished.get(test_id)
        if details is None and len(self.unfinished) < OPEN_BOUND:
            details = self.unfinished[test_id] = Details()
        self.crowded = self.crowded or details is None
        return details
