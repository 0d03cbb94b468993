# SPDX-License-Identifier: Apache-2.0
"""Finds the packets of subunit v2 in a stream that arrives in pieces; python-subunit decodes them.

``ByteStreamToStreamResult`` decodes each whole packet. It cannot decode the whole stream, for
these reasons:

- It reads a file until the end, but the harness must read the stream while it is written.
- After a damaged length it skips that number of bytes, up to 4 MiB, with all the packets in
  them; a length below 6 makes it read the whole rest of the stream.
- It returns neither the byte at which a packet begins, which references to attachments need, nor
  the number of packets, which the seal (bsdgate's last packet of a stream) needs.

So this module searches for packets: it tests the checksum at each possible beginning; if it is
wrong, the search goes on at the next byte. Time and memory are bounded for a hostile stream.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from datetime import datetime
from io import BytesIO
from typing import Any, NamedTuple

from subunit.v2 import ByteStreamToStreamResult

from bsdgate.results.model import Code, Reason, error

SHORTEST = 8
"""The size of the shortest packet in bytes: signature, flags, length and checksum."""

DAMAGE_BOUND = 1 << 20
"""The search for packets ends after this many bytes between packets."""

SEARCH_BOUND = 64 << 20
"""The search for packets ends after wrong checksums over this many bytes."""

# Control characters, except white space and the escape that begins a colour.
_CONTROL = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f-\x9f]")
# A UTF-8 character without its last bytes.
_UNFINISHED = re.compile(rb"(?:[\xc2-\xf4]|[\xe0-\xf4][\x80-\xbf]|[\xf0-\xf4][\x80-\xbf]{2})\Z")

_SAMPLE = 600  # the maximum number of bytes between packets in a message, and of their characters
_PROBLEMS_BOUND = 20
_CANDIDATE = 256  # counted per wrong checksum in addition to its bytes
# The signature and version 2; at the end of the data, the signature alone.
_BEGIN = re.compile(rb"\xb3(?:[\x20-\x2f]|\Z)")


class Packet(NamedTuple):
    """The content of one packet, with the field names of python-subunit."""

    test_id: str | None = None
    test_status: str | None = None
    test_tags: set[str] | None = None
    runnable: bool = True
    file_name: str | None = None
    file_bytes: bytes | None = None
    eof: bool = False
    mime_type: str | None = None
    route_code: str | None = None
    timestamp: datetime | None = None


class _Decoded(list[Packet]):
    """The packets that python-subunit decodes."""

    def status(self, *, file_bytes: bytes | memoryview | None = None, **fields: Any) -> None:
        content = None if file_bytes is None else bytes(file_bytes)
        self.append(Packet(file_bytes=content, **fields))


def decode(packet: bytes) -> Packet:
    """Decode one packet with a correct checksum; raise ValueError if its content is invalid."""
    decoded = _Decoded()
    try:
        ByteStreamToStreamResult(BytesIO(packet)).run(decoded)
    except (struct.error, IndexError, ValueError, OverflowError) as reason:
        raise ValueError(str(reason)) from None
    if len(decoded) != 1:  # python-subunit makes two packets of one that is invalid
        raise ValueError((decoded[-1].file_bytes or b"").decode())
    return decoded[0]


class _Noise:
    """The noise: all bytes between packets. ``unread``: whether some of these were not kept.

    A damaged packet with a status never counts as text: the first byte of a packet cannot begin
    a UTF-8 character, and the third byte of a packet with a status and no attachment is not text.
    """

    def __init__(self) -> None:
        self.size = 0
        self._content = bytearray()  # with a line feed between two places
        self._end = 0  # offset in the stream
        self.unread = False

    def add(self, data: bytes, offset: int) -> None:
        """Add bytes that begin at ``offset`` in the stream."""
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
        """Return whether the byte at ``offset`` continues a UTF-8 character of the noise."""
        return offset == self._end and _UNFINISHED.search(self._content[-3:]) is not None

    @property
    def is_text(self) -> bool:
        """Whether all bytes between packets are printable text."""
        try:
            return not self.unread and not _CONTROL.search(self._content.decode())
        except UnicodeDecodeError:
            return False

    @property
    def sample(self) -> str:
        """The beginning of the noise, in printable characters."""
        text = self._content[:_SAMPLE].decode("utf-8", "backslashreplace")
        line = " ".join(text.split()) or text
        return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in line)[:_SAMPLE]


class PacketReader:
    """Yields the packets of a stream, each with the byte of the stream at which it begins.

    Call ``feed`` with the next bytes and ``close`` at the end; read both iterators to the end.
    ``count`` is the number of packets so far.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._wanted = 0  # size that the buffer must have for its first packet
        self._offset = 0  # of the buffer in the stream
        self._noise = _Noise()
        self._searched = 0
        self._cut = 0
        self._bad: list[Reason] = []
        self.count = 0

    def feed(self, data: bytes) -> Iterator[tuple[int, Packet]]:
        """Take the next bytes and yield the packets that they complete."""
        if self._noise.unread:
            self._noise.add_unread(len(data))
            return
        self._buffer += data
        if len(self._buffer) >= self._wanted:
            yield from self._packets(final=False)

    def close(self) -> Iterator[tuple[int, Packet]]:
        """Yield the packets at the end of the stream, and whole packets within a truncated one."""
        return self._packets(final=True)

    @property
    def problems(self) -> list[Reason]:
        """The problems of the stream so far."""
        found = list(self._bad)
        if self._noise.size and self.printed is None:
            message = f"{self._noise.size} bytes between packets are not subunit"
            found.append(error(Code.DAMAGED, f"{message}: {self._noise.sample}"))
        if self._cut:
            found.append(error(Code.TRUNCATED, f"the stream ends inside a packet ({self._cut} B)"))
        return found

    @property
    def printed(self) -> str | None:
        """A message about the text between packets; None if there is no noise, or it is not text.

        A stream without any packet is not subunit, so its text is not text between packets.
        """
        if not (self.count and self._noise.size and self._noise.is_text):
            return None
        return f"{self._noise.size} bytes of text between packets: {self._noise.sample}"

    def _packets(self, *, final: bool) -> Iterator[tuple[int, Packet]]:
        data = bytes(self._buffer)
        at, size = 0, len(data)
        self._wanted = 0
        while at < size:
            length = _claimed_length(data, at)
            end = at + length
            if end > size and not final:
                self._wanted = length
                break
            packet = data[at:end]
            if length and end <= size and zlib.crc32(packet[:-4]).to_bytes(4, "big") == packet[-4:]:
                yield from self._decoded(packet, self._offset + at)
                at = end
                continue
            if end > size and not self._noise.splits_character(self._offset + at):
                self._cut = self._cut or size - at
            self._searched += min(length, size - at) + _CANDIDATE
            at = self._skip(data, at)
        self._offset += at
        del self._buffer[:at]

    def _decoded(self, packet: bytes, offset: int) -> Iterator[tuple[int, Packet]]:
        self.count += 1
        try:
            yield offset, decode(packet)
        except ValueError as reason:
            if len(self._bad) < _PROBLEMS_BOUND:
                message = f"the packet at byte {offset} cannot be decoded: {reason}"
                self._bad.append(error(Code.DAMAGED, message))

    def _skip(self, data: bytes, at: int) -> int:
        """Return where the next packet may begin; at a bound, end the search and return the end."""
        found = _BEGIN.search(data, at + 1)
        end = found.start() if found else len(data)
        if not self._cut:  # else these bytes belong to the truncated packet, which is reported
            self._noise.add(data[at:end], self._offset + at)
        if self._noise.size < DAMAGE_BOUND and self._searched < SEARCH_BOUND:
            return end
        self._noise.add_unread(len(data) - end)
        return len(data)


def _claimed_length(data: bytes, at: int) -> int:
    """Return the length in the header of the packet at ``at``; 0 if no packet begins there."""
    if not _BEGIN.match(data, at):
        return 0
    if len(data) - at < SHORTEST:
        return SHORTEST
    extra = data[at + 3] >> 6  # the length has one to three bytes
    length = int.from_bytes(data[at + 3 : at + 4 + extra], "big") & ((0x40 << 8 * extra) - 1)
    return length if extra < 3 and length >= SHORTEST else 0
