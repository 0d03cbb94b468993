# SPDX-License-Identifier: Apache-2.0
"""What a test attached (tracebacks, logs, a skip's reason), kept within bounds while it runs."""

from dataclasses import dataclass, field

CASE_BOUND = 64 * 1024
"""Bytes of attachments kept per test. The tail is kept: that is where the exception stands."""

NAMES_BOUND = 32
"""Attachments kept apart per test; more of them are counted and dropped."""

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

    def decoded(self, room: int) -> str:
        kept = bytes(self.tail[-room:]) if room > 0 else b""
        cut = self.size - len(kept)
        mark = f"[... {cut} bytes cut ...]\n" if cut else ""
        return mark + kept.decode("utf-8", "replace")


class Details:
    """The attachments of one test in flight; ``dropped`` counts the chunks not kept."""

    def __init__(self) -> None:
        self._attachments: dict[str, _Attachment] = {}
        self.dropped = 0

    @property
    def held(self) -> int:
        """Bytes in memory."""
        return sum(len(attachment.tail) for attachment in self._attachments.values())

    def add(self, name: str, mime_type: str | None, data: bytes) -> None:
        """Append one chunk of the attachment called ``name``."""
        attachment = self._attachments.get(name)
        if attachment is None:
            if len(self._attachments) >= NAMES_BOUND:
                self.dropped += 1
                return
            text = mime_type is None or mime_type.startswith("text/")
            attachment = self._attachments[name] = _Attachment(text)
        attachment.add(data)

    def reason(self) -> str | None:
        """One line that says why: a skip's reason, or the last line of a traceback."""
        for name in sorted(self._attachments, key=lambda name: (name != "reason", name)):
            if name == "reason" or name.startswith("traceback"):
                return last_line(self._attachments[name].decoded(CASE_BOUND))
        return None

    def text(self) -> str | None:
        """All attachments as text: tracebacks first, the rest while there is room."""
        parts: list[str] = []
        room = CASE_BOUND
        order = sorted(self._attachments, key=lambda name: not name.startswith("traceback"))
        for name in order:
            attachment = self._attachments[name]
            if not attachment.size:
                continue
            if attachment.text:
                parts.append(f"{name}:\n{attachment.decoded(room).rstrip()}\n")
                room -= min(room, len(attachment.tail))
            else:
                parts.append(f"{name}: {attachment.size} bytes, not text\n")
        if self.dropped:
            parts.append(f"[... {self.dropped} chunks of further attachments cut ...]\n")
        return "\n".join(parts) or None


def last_line(text: str) -> str | None:
    """The last line of ``text`` that is not blank, bounded; None if there is none."""
    lines = text.rstrip().rsplit("\n", 1)
    line = lines[-1].strip()
    return line[:REASON_BOUND] or None


def tail(text: str) -> str:
    """``text`` cut to the bound of one test, its end kept and the cut marked."""
    if len(text) <= CASE_BOUND:
        return text
    return f"[... {len(text) - CASE_BOUND} characters cut ...]\n{text[-CASE_BOUND:]}"
