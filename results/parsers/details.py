# SPDX-License-Identifier: Apache-2.0
"""The attachments of a test (tracebacks, logs, the reason of a skip), in bounded memory."""

from dataclasses import dataclass, field

CASE_BOUND = 64 * 1024
"""Bytes of attachments kept per test. The end is kept: a traceback ends with the exception."""

KEPT_BOUND = 32 * 1024 * 1024
"""Characters of details that are kept of one stream."""

NAMES_BOUND = 32
"""The most attachments kept per test; further ones are counted and dropped."""

NAME_BOUND = 200
"""Characters of an attachment's name."""

ATTACHMENT_COST = 1024
"""Bytes of memory counted for an attachment in addition to its content."""

REASON_BOUND = 1000
"""Characters of a one-line reason."""


@dataclass(slots=True)
class _Attachment:
    text: bool
    size: int = 0
    tail: bytearray = field(default_factory=bytearray)

    def add(self, data: bytes) -> None:
        self.size += len(data)
        self.tail += data[-CASE_BOUND:]
        # Trimmed at twice the bound, so that each byte is moved at most once.
        if len(self.tail) > 2 * CASE_BOUND:
            del self.tail[:-CASE_BOUND]

    def decoded(self, room: int) -> tuple[str, int]:
        """The last ``room`` bytes as text, and how many came before them."""
        kept = bytes(self.tail[-room:]) if room > 0 else b""
        return kept.decode("utf-8", "replace"), self.size - len(kept)


class Details:
    """The attachments of one test in progress.

    ``offset`` is the byte of the stream at which the first begins, if known; the mark at a cut
    shows it. ``dropped`` counts the chunks that are not kept, ``held`` the bytes in memory.
    """

    def __init__(self, offset: int | None = None) -> None:
        self._attachments: dict[str, _Attachment] = {}
        self.offset = offset
        self.dropped = 0
        self.held = 0

    def add(self, name: str, mime_type: str | None, data: bytes) -> int:
        """Append a chunk of the attachment called ``name``; return by how much ``held`` grew."""
        name = name[:NAME_BOUND]
        attachment = self._attachments.get(name)
        growth = 0
        if attachment is None:
            if len(self._attachments) >= NAMES_BOUND:
                self.dropped += 1
                return 0
            text = mime_type is None or mime_type.startswith("text/")
            attachment = self._attachments[name] = _Attachment(text)
            growth = ATTACHMENT_COST
        before = len(attachment.tail)
        attachment.add(data)
        growth += len(attachment.tail) - before
        self.held += growth
        return growth

    def reason(self) -> str | None:
        """The reason of a skip, or the last line of each traceback, in one line."""
        tracebacks = sorted(name for name in self._attachments if name.startswith("traceback"))
        # Each of several tracebacks (of the test, of its cleanups) is a failure.
        names = ["reason"] if "reason" in self._attachments else tracebacks
        lines = (last_line(self._attachments[name].decoded(CASE_BOUND)[0]) for name in names)
        share = REASON_BOUND // max(len(names), 1)
        return "; ".join(line[:share] for line in lines if line)[:REASON_BOUND] or None

    def text(self) -> str | None:
        """All attachments as text: tracebacks first, the rest while there is room."""
        parts: list[str] = []
        room = CASE_BOUND
        where = whole_from(self.offset)
        order = sorted(self._attachments, key=lambda name: not name.startswith("traceback"))
        for name in order:
            attachment = self._attachments[name]
            if not attachment.size:
                continue
            if attachment.text:
                kept, cut = attachment.decoded(room)
                mark = f"[... {cut} bytes cut{where} ...]\n" if cut else ""
                parts.append(f"{name}:\n{mark}{kept.rstrip()}\n")
                room -= min(room, len(attachment.tail))
            else:
                parts.append(f"{name}: {attachment.size} bytes, not text\n")
        if self.dropped:
            parts.append(f"[... {self.dropped} chunks of further attachments cut{where} ...]\n")
        return "\n".join(parts) or None


def last_line(text: str) -> str | None:
    """The last line of ``text`` that is not blank, bounded; None if there is none."""
    lines = text.rstrip().rsplit("\n", 1)
    line = lines[-1].strip()
    return line[:REASON_BOUND] or None


HEAD_BOUND = 4 * REASON_BOUND
"""Characters that are kept of the beginning of a text."""


class Tail:
    """A text that arrives in pieces; a bounded part of its beginning and of its end is kept."""

    def __init__(self) -> None:
        self._size = 0
        self._length = 0
        self._pieces: list[str] = []
        self.head = ""

    def add(self, piece: str) -> None:
        """Append a short piece."""
        # A piece may end anywhere, where a block of the file ends.
        if len(self.head) < HEAD_BOUND:
            self.head += piece[: HEAD_BOUND - len(self.head)]
        self._pieces.append(piece)
        self._size += len(piece)
        self._length += len(piece)
        if self._length > 2 * CASE_BOUND:
            self._pieces = [self.kept]
            self._length = len(self._pieces[0])

    @property
    def kept(self) -> str:
        """The last characters."""
        return "".join(self._pieces)[-CASE_BOUND:]

    def within(self, room: int, where: str = "") -> str:
        """The last ``room`` characters, with a mark in front if there were more."""
        kept = self.kept[-room:] if room > 0 else ""
        cut = self._size - len(kept)
        return f"[... {cut} characters cut{where} ...]\n{kept}" if cut else kept


class Kept:
    """Bounds the details of all cases of one stream together."""

    def __init__(self) -> None:
        self._room = KEPT_BOUND

    def keep(self, details: str | None, offset: int | None) -> str | None:
        """Return ``details`` while there is room, then a text with their place in the stream."""
        if details is None or self._room > 0:
            self._room -= len(details or "")
            return details
        return f"[not kept, for all together are too large{whole_from(offset)}]"


def whole_from(offset: int | None) -> str:
    """Return a text with the place of the whole text in the stream; empty if it is not known."""
    return "" if offset is None else f", whole from byte {offset} of the stream"


def tail(text: str) -> str:
    """``text`` cut to the bound of one test, its end kept and the cut marked."""
    whole = Tail()
    whole.add(text)
    return whole.within(CASE_BOUND)
