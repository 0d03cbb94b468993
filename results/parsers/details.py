# SPDX-License-Identifier: Apache-2.0
"""The attachments of tests (tracebacks, logs, the reason of a skip), in bounded memory."""

from dataclasses import dataclass, field
from datetime import datetime

CASE_BOUND = 64 * 1024
"""The maximum number of bytes of attachments kept per test.

The end is kept: a traceback ends with the exception.
"""

KEPT_BOUND = 32 * 1024 * 1024
"""The maximum number of characters of details kept per stream."""

NAMES_BOUND = 32
"""The maximum number of attachments kept per test; chunks of more are counted and dropped."""

NAME_BOUND = 200
"""The number of characters kept of an attachment's name."""

ATTACHMENT_COST = 1024
"""The number of bytes of memory counted per attachment in addition to its content."""

REASON_BOUND = 1000
"""The number of characters kept of a one-line reason."""

HEAD_BOUND = 4 * REASON_BOUND
"""The number of bytes kept of the beginning of a text."""

OPEN_BOUND = 2_000
"""The maximum number of tests in progress at once.

A runner has some dozens. If a stream has no ends of tests, all of them are in progress.
"""

ENDED_BOUND = 20_000
"""The maximum number of tests that are remembered as ended."""

HELD_BOUND = 32 << 20
"""The maximum number of bytes of attachments of tests in progress; half of it if one is late."""


class Tail:
    """A UTF-8 text that arrives in pieces; only its end and a short beginning are kept."""

    def __init__(self, *, is_text: bool = True) -> None:
        self.is_text = is_text
        self.size = 0
        self._head = bytearray()
        self._end = bytearray()

    def add(self, data: bytes) -> None:
        """Append a piece."""
        self.size += len(data)
        self._end += data
        # Trimmed at twice the bound, so that each byte is moved at most once.
        if len(self._end) > 2 * CASE_BOUND:
            self._head = self._head or self._end[:HEAD_BOUND]
            del self._end[:-CASE_BOUND]

    @property
    def head(self) -> str:
        """The beginning of the text, without a character that is cut at its end."""
        return (self._head or self._end[:HEAD_BOUND]).decode("utf-8", "ignore")

    @property
    def kept(self) -> str:
        """The end of the text."""
        return self._end[-CASE_BOUND:].decode("utf-8", "replace")

    @property
    def held(self) -> int:
        """The number of bytes that this text takes in memory."""
        return ATTACHMENT_COST + len(self._end)

    def within(self, room: int, where: str = "") -> str:
        """Return the last ``room`` bytes as text, after a mark if earlier bytes were cut."""
        kept = self._end[-room:] if room > 0 else b""
        mark = f"[... {cut} bytes cut{where} ...]\n" if (cut := self.size - len(kept)) else ""
        return mark + kept.decode("utf-8", "replace")


@dataclass(slots=True)
class Details:
    """The start time and the attachments of a test in progress.

    ``offset`` is the byte of the stream at which the first attachment begins, if known; the mark at
    a cut shows it. ``dropped`` is the number of chunks that were not kept.
    """

    started: datetime | None = None
    offset: int | None = None
    dropped: int = 0
    _attachments: dict[str, Tail] = field(default_factory=dict)

    def add(self, name: str, mime_type: str | None, data: bytes) -> None:
        """Append a chunk of the attachment called ``name``."""
        name = name[:NAME_BOUND]
        if name not in self._attachments:
            if len(self._attachments) >= NAMES_BOUND:
                self.dropped += 1
                return
            is_text = mime_type is None or mime_type.startswith("text/")
            self._attachments[name] = Tail(is_text=is_text)
        self._attachments[name].add(data)

    @property
    def held(self) -> int:
        """The number of bytes that all attachments of the test take in memory."""
        return sum(attachment.held for attachment in self._attachments.values())

    def reason(self) -> str | None:
        """Return the reason of a skip, or the last line of each traceback, in one line."""
        tracebacks = sorted(name for name in self._attachments if name.startswith("traceback"))
        # Each traceback (of the test, of a cleanup) is a failure of its own.
        names = ["reason"] if "reason" in self._attachments else tracebacks
        lines = (last_line(self._attachments[name].kept) for name in names)
        share = REASON_BOUND // max(len(names), 1)
        return "; ".join(line[:share] for line in lines if line)[:REASON_BOUND] or None

    def text(self) -> str | None:
        """Return all attachments as text: tracebacks first, the others while there is room."""
        parts: list[str] = []
        room, where = CASE_BOUND, whole_from(self.offset)
        for name in sorted(self._attachments, key=lambda name: not name.startswith("traceback")):
            attachment = self._attachments[name]
            if attachment.size and attachment.is_text:
                parts.append(f"{name}:\n{attachment.within(room, where).rstrip()}\n")
                room -= min(room, attachment.size)
            elif attachment.size:
                parts.append(f"{name}: {attachment.size} bytes, not text\n")
        if self.dropped:
            parts.append(f"[... {self.dropped} chunks of further attachments cut{where} ...]\n")
        return "\n".join(parts) or None


class Progress:
    """The tests in progress: from their start, or first attachment, to their end.

    An attachment that follows the end of its test is *late*, until the test starts or ends again.
    ``crowded``: whether more than OPEN_BOUND tests were in progress at once.
    """

    def __init__(self) -> None:
        self.unfinished: dict[str, Details] = {}
        self.late: dict[str, Details] = {}
        self._ended: set[str] = set()
        self._held = 0
        self.crowded = False

    def begin(self, test_id: str, started: datetime | None) -> None:
        """Record the start of a test."""
        if details := self.late.pop(test_id, None):
            self.unfinished[test_id] = details
        if details := self._open(test_id):
            details.started = started

    def attach(
        self, test_id: str, offset: int, name: str, mime_type: str | None, data: bytes
    ) -> None:
        """Record a chunk of an attachment; its packet begins at byte ``offset`` of the stream."""
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
        """Record the end of a test; return its start time and attachments."""
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


class Kept:
    """Limits the total size of the details of all cases of a stream."""

    def __init__(self) -> None:
        self._room = KEPT_BOUND

    def keep(self, details: str | None, offset: int | None) -> str | None:
        """Return ``details`` while there is room, then a message with their place in the stream."""
        if details is None or self._room > 0:
            self._room -= len(details or "")
            return details
        return f"[left out: the details of all tests are too large{whole_from(offset)}]"


def last_line(text: str) -> str | None:
    """Return the last line of ``text`` that is not blank, cut to a bound; None if there is none."""
    line = text.rstrip().rpartition("\n")[2].strip()
    return line[:REASON_BOUND] or None


def whole_from(offset: int | None) -> str:
    """Return a message with the place of the uncut text in the stream; empty if it is not known."""
    return "" if offset is None else f", the whole text is at byte {offset} of the stream"


def tail(text: str) -> str:
    """Return the end of ``text``, at most CASE_BOUND bytes, with a mark if it was cut."""
    whole = Tail()
    whole.add(text.encode())
    return whole.within(CASE_BOUND)
