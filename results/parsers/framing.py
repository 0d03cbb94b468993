# SPDX-License-Identifier: Apache-2.0
"""Finds subunit's packets in a stream that arrives in pieces, whatever stands between them.

Bytes between packets are noticed and lose none of the packets after them. Time and memory are
bounded by the stream's length, whoever made it.
"""

import re
from codecs import getincrementaldecoder
from collections.abc import Iterator

from bsdgate.results.model import Code, Reason, error
from bsdgate.results.parsers.packets import (
    SHORTEST,
    BadPacketError,
    Packet,
    claimed,
    decode,
    is_whole,
)

SAMPLE = 600
"""Bytes that are kept of what is no packet, and characters that are shown of it."""

DAMAGE_BOUND = 1 << 20
"""Bytes between packets after which a stream is not worth the search for further ones."""

SEARCH_BOUND = 64 << 20
"""Bytes whose checksum was taken in vain: each of the damage may begin what looks like 4 MiB."""

_PROBLEMS_BOUND = 20
# A candidate costs something even if it is short.
_CANDIDATE = 256
# What terminals are not sent to be read; the escape begins a colour.
_CONTROL = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f-\x9f]")
# The signature and version 2, or what may yet become that.
_BEGIN = re.compile(rb"\xb3(?:[\x20-\x2f]|\Z)")


class PacketReader:
    """Hands out the packets of a stream, each with the byte of the stream at which it begins.

    ``feed`` takes the next bytes, ``close`` the end; what they return has to be used up.
    ``count`` is the number of packets so far, ``problems`` what is wrong and ``printed`` the text
    that stands between whole packets.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._wanted = 0  # bytes of the packet that the buffer begins with
        self._passed = 0  # bytes of the stream before the buffer
        self._between = _Between()
        self._searched = 0
        self._cut = 0
        self._hopeless = False
        self._bad: list[Reason] = []
        self.count = 0

    def feed(self, data: bytes) -> Iterator[tuple[int, Packet]]:
        """Take the next bytes and return the packets that they complete."""
        if self._hopeless:
            self._between.give_up(len(data))
            return
        self._buffer += data
        if len(self._buffer) >= self._wanted:
            yield from self._packets(final=False)

    def close(self) -> Iterator[tuple[int, Packet]]:
        """Take the end of the stream; a begun packet is searched for whole ones within it."""
        if not self._hopeless:
            yield from self._packets(final=True)

    @property
    def problems(self) -> list[Reason]:
        """What is wrong so far."""
        found = list(self._bad)
        if self._between.size and self.printed is None:
            message = f"{self._between.size} bytes between packets are not subunit"
            found.append(error(Code.DAMAGED, f"{message}: {self._between.shown}"))
        if self._cut:
            found.append(error(Code.TRUNCATED, f"the stream ends inside a packet ({self._cut} B)"))
        return found

    @property
    def printed(self) -> str | None:
        """How much text stands between packets and how it begins; None if there is anything else.

        What has not one packet is no stream, and not text either.
        """
        if not (self.count and self._between.size and self._between.is_text):
            return None
        return f"{self._between.size} bytes of text between packets: {self._between.shown}"

    def _packets(self, *, final: bool) -> Iterator[tuple[int, Packet]]:
        data = bytes(self._buffer)
        at, size = 0, len(data)
        while at < size:
            length = claimed(data, at) if size - at >= SHORTEST else _begins(data, at)
            end = at + length
            if end > size and not final:
                self._wanted = length
                break
            if length and end <= size and is_whole(data, at, end):
                self.count += 1
                try:
                    yield self._passed + at, decode(data, at, end)
                except BadPacketError as reason:
                    self._note_bad(self._passed + at, reason)
                at = end
                continue
            if end > size and not self._between.inside_character(self._passed + at):
                self._cut = self._cut or size - at
            self._searched += min(length, size - at) + _CANDIDATE
            at = self._skip(data, at)
        else:
            self._wanted = 0
        self._passed += at
        del self._buffer[:at]

    def _skip(self, data: bytes, at: int) -> int:
        """Where the next packet may begin; at the end of ``data`` if the search is given up."""
        found = _BEGIN.search(data, at + 1)
        end = found.start() if found else len(data)
        # Behind a cut packet's begin stands the rest of that packet, already reported as cut.
        if not self._cut:
            self._between.add(data[at:end], self._passed + at)
        if self._between.size < DAMAGE_BOUND and self._searched < SEARCH_BOUND:
            return end
        self._hopeless = True
        self._between.give_up(len(data) - end)
        return len(data)

    def _note_bad(self, offset: int, reason: BadPacketError) -> None:
        if len(self._bad) < _PROBLEMS_BOUND:
            message = f"the packet at byte {offset} cannot be decoded: {reason}"
            self._bad.append(error(Code.DAMAGED, message))


class _Between:
    """The bytes between packets: how many, how they begin, and whether all of them are text.

    Text is not what is left of a damaged packet with a status: the first byte of a packet begins no
    character, and the third of a packet with a status and no attachment is none of a text.
    """

    def __init__(self) -> None:
        self.size = 0
        self._sample = bytearray()
        self._end = 0  # in the stream
        self._printable = True
        self._decoder = getincrementaldecoder("utf-8")()

    def add(self, data: bytes, offset: int) -> None:
        """Take bytes that stand at that byte of the stream."""
        if offset != self._end and self.size:
            self._printable = self.is_text
            self._sample += b"\n"
        self._end = offset + len(data)
        self.size += len(data)
        self._sample += data[: max(SAMPLE - len(self._sample), 0)]
        try:
            text = self._decoder.decode(data) if self._printable else ""
        except UnicodeDecodeError:
            self._printable = False
        else:
            self._printable = self._printable and not _CONTROL.search(text)

    def give_up(self, size: int) -> None:
        """Count this many bytes without a look at them: the search for packets has ended."""
        self.size += size
        self._printable = False

    def inside_character(self, offset: int) -> bool:
        """Whether the byte there goes on with a character of text: so no packet begins there."""
        return self._printable and offset == self._end and bool(self._decoder.getstate()[0])

    @property
    def is_text(self) -> bool:
        """Whether all of it is whole characters that a person can read."""
        return self._printable and not self._decoder.getstate()[0]

    @property
    def shown(self) -> str:
        """How it begins, in characters that can be printed."""
        text = self._sample.decode("utf-8", "backslashreplace")
        shown = " ".join(text.split()) or text
        plain = (each if each.isprintable() else ascii(each)[1:-1] for each in shown)
        return "".join(plain)[:SAMPLE]


def _begins(data: bytes, at: int) -> int:
    """As ``claimed``, where there are too few bytes to tell: more than are there, or 0."""
    return SHORTEST if _BEGIN.match(data, at) else 0
