# SPDX-License-Identifier: Apache-2.0
"""The bytes of a stream that belong to no packet: text that something printed, or damage."""

import re

SAMPLE = 600
"""The most bytes of the noise in a message, and the most characters of that part."""

# Control characters, except white space and the escape that begins a colour.
_CONTROL = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f-\x9f]")
# A UTF-8 character without its last bytes.
_UNFINISHED = re.compile(rb"(?:[\xc2-\xf4]|[\xe0-\xf4][\x80-\xbf]|[\xf0-\xf4][\x80-\xbf]{2})\Z")


class Noise:
    """The number and the content of the bytes between packets; ``unread`` if some are not kept.

    A damaged packet with a status is never taken for text: the first byte of a packet cannot begin
    a UTF-8 character, and the third byte of a packet with a status and no attachment is not text.
    """

    def __init__(self) -> None:
        self.size = 0
        self._content = bytearray()  # the places apart by a line feed
        self._end = 0  # in the stream
        self.unread = False

    def add(self, data: bytes, offset: int) -> None:
        """Add bytes that stand at that offset of the stream."""
        if self.size and offset != self._end:
            self._content += b"\n"
        self._content += data
        self.size += len(data)
        self._end = offset + len(data)

    def add_unread(self, size: int) -> None:
        """Count bytes that are not searched for packets."""
        self.size += size
        self.unread = True

    def splits_character(self, offset: int) -> bool:
        """Whether that byte of the stream continues a character of text."""
        return offset == self._end and _UNFINISHED.search(self._content[-3:]) is not None

    @property
    def is_text(self) -> bool:
        """Whether all of it is text that can be printed."""
        try:
            return not self.unread and not _CONTROL.search(self._content.decode())
        except UnicodeDecodeError:
            return False

    @property
    def sample(self) -> str:
        """Its beginning, in printable characters."""
        text = self._content[:SAMPLE].decode("utf-8", "backslashreplace")
        line = " ".join(text.split()) or text
        return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in line)[:SAMPLE]
