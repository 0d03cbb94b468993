# SPDX-License-Identifier: Apache-2.0
"""Subunit v2's packets: where one begins and ends in a stream, and what it says.

python-subunit reads a packet in a dozen small reads; here it is taken apart in one pass. The
tests hold both to the same events on any stream that python-subunit can write.
"""

import zlib
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

SIGNATURE = 0xB3
SHORTEST = 8
"""Bytes of the shortest packet: signature, flags, length and checksum."""

_VERSION = 2
_TEST_ID = 0x0800
_ROUTE_CODE = 0x0400
_TIMESTAMP = 0x0200
_TAGS = 0x0080
_FILE_CONTENT = 0x0040
_MIME_TYPE = 0x0020
_STATUS = (None, "exists", "inprogress", "success", "uxsuccess", "skip", "fail", "xfail")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class BadPacketError(ValueError):
    """A packet whose checksum is right and whose content is not."""


class Packet(NamedTuple):
    """What one packet says. ``file_name`` is None where it attaches nothing."""

    test_id: str | None
    status: str | None
    timestamp: datetime | None
    tags: tuple[str, ...]
    mime_type: str | None
    file_name: str | None
    file_bytes: bytes
    route_code: str | None


def claimed(data: bytes, at: int) -> int:
    """The length that the packet at ``at`` claims; 0 if no packet begins so.

    From ``at`` on there must be at least ``SHORTEST`` bytes.
    """
    extra = data[at + 3] >> 6  # bytes by which the number is longer than one; three is too many
    if data[at] != SIGNATURE or data[at + 1] >> 4 != _VERSION or extra == 3:
        return 0
    length = data[at + 3] & 0x3F
    for byte in data[at + 4 : at + 4 + extra]:
        length = length << 8 | byte
    return length if length >= SHORTEST else 0


def is_whole(data: bytes, begin: int, end: int) -> bool:
    """Whether the checksum of the packet from ``begin`` to ``end`` is right."""
    return zlib.crc32(data[begin : end - 4]) == int.from_bytes(data[end - 4 : end], "big")


def decode(data: bytes, begin: int, end: int) -> Packet:
    """Take the packet from ``begin`` to ``end`` apart; BadPacketError if it is no packet's."""
    flags = data[begin + 1] << 8 | data[begin + 2]
    at = begin + 4 + (data[begin + 3] >> 6)
    stop = end - 4
    timestamp = test_id = mime_type = file_name = route_code = None
    tags: tuple[str, ...] = ()
    file_bytes = b""
    if flags & _TIMESTAMP:
        seconds = int.from_bytes(data[at : at + 4], "big")
        nanoseconds, at = _number(data, at + 4, stop)
        timestamp = _EPOCH + timedelta(0, seconds, nanoseconds // 1000)
    if flags & _TEST_ID:
        test_id, at = _text(data, at, stop)
    if flags & _TAGS:
        tags, at = _tags(data, at, stop)
    if flags & _MIME_TYPE:
        mime_type, at = _text(data, at, stop)
    if flags & _FILE_CONTENT:
        file_name, at = _text(data, at, stop)
        file_bytes, at = _bytes(data, at, stop)
    if flags & _ROUTE_CODE:
        route_code, at = _text(data, at, stop)
    status = _STATUS[flags & 7]
    return Packet(test_id, status, timestamp, tags, mime_type, file_name, file_bytes, route_code)


def _number(data: bytes, at: int, stop: int) -> tuple[int, int]:
    """The number at ``at``, of one to four bytes, and where the next field begins."""
    if at >= stop:
        raise BadPacketError("a number is expected beyond the packet's end")
    first = data[at]
    extra = first >> 6
    number = first & 0x3F
    if extra:
        number = number << 8 * extra | int.from_bytes(data[at + 1 : at + 1 + extra], "big")
    at += 1 + extra
    if at > stop:
        raise BadPacketError("a number reaches over the packet's end")
    return number, at


def _bytes(data: bytes, at: int, stop: int) -> tuple[bytes, int]:
    length, at = _number(data, at, stop)
    end = at + length
    if end > stop:
        raise BadPacketError(f"{length} bytes reach over the packet's end")
    return data[at:end], end


def _text(data: bytes, at: int, stop: int) -> tuple[str, int]:
    # Behind ``stop`` there is the checksum, so there is always a byte to look at.
    length = data[at]
    if length < 0x40:  # nearly always, so it is worth a call saved
        at += 1
    else:
        length, at = _number(data, at, stop)
    end = at + length
    if end > stop:
        raise BadPacketError(f"a text of {length} bytes reaches over the packet's end")
    content = data[at:end]
    if 0 in content:
        raise BadPacketError("a text with a nul byte")
    try:
        return content.decode(), end
    except UnicodeDecodeError:
        raise BadPacketError("a text that is not UTF-8") from None


def _tags(data: bytes, at: int, stop: int) -> tuple[tuple[str, ...], int]:
    count, at = _number(data, at, stop)
    tags = []
    for _ in range(count):
        tag, at = _text(data, at, stop)
        tags.append(tag)
    return tuple(tags), at
