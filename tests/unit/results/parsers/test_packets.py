# SPDX-License-Identifier: Apache-2.0
"""The packets of any stream that python-subunit writes, and packets with wrong content."""

import struct
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from subunit.v2 import StreamResultToBytes

from bsdgate.results.parsers.packets import Packet, PacketReader, decode

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=300)
STATUS = st.sampled_from(
    [None, "exists", "inprogress", "success", "uxsuccess", "skip", "fail", "xfail"]
)
FILES = st.one_of(
    st.just({"file_name": None, "file_bytes": None}),
    st.fixed_dictionaries({"file_name": TEXT, "file_bytes": st.binary(max_size=20_000)}),
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECONDS = st.integers(0, (1 << 32) * 1_000_000 - 1)
PACKETS = st.builds(
    lambda file, **fields: fields | file,
    FILES,
    test_id=st.none() | TEXT,
    test_status=STATUS,
    test_tags=st.none() | st.sets(TEXT, min_size=1, max_size=80),
    runnable=st.booleans(),
    eof=st.booleans(),
    mime_type=st.none() | TEXT.filter(bool),
    route_code=st.none() | TEXT,
    timestamp=st.none() | st.builds(lambda n: EPOCH + timedelta(microseconds=n), MICROSECONDS),
)


@given(st.lists(PACKETS, max_size=8), st.integers(1, 5000))
def test_any_stream_that_python_subunit_writes_is_read(
    packets: list[dict[str, Any]], size: int
) -> None:
    out = BytesIO()
    writer = StreamResultToBytes(out)
    offsets = []
    for packet in packets:
        offsets.append(out.tell())
        writer.status(**packet)
    stream = out.getvalue()
    reader = PacketReader()
    pieces = (stream[at : at + size] for at in range(0, len(stream), size))
    found = [each for piece in pieces for each in reader.feed(piece)] + list(reader.close())
    assert found == list(zip(offsets, (Packet(**packet) for packet in packets), strict=True))
    assert (reader.count, reader.problems, reader.printed) == (len(packets), [], None)


def signed(flags: int, body: bytes) -> bytes:
    """Return a packet with any content and a correct checksum."""
    length = 1 + 2 + 2 + len(body) + 4
    content = b"\xb3" + struct.pack(">HH", 0x2000 | flags, 0x4000 | length) + body
    return content + struct.pack(">I", zlib.crc32(content))


@given(st.integers(0, 0xFFF), st.binary(max_size=60))
def test_any_content_with_a_correct_checksum_is_a_packet_or_a_problem(
    flags: int, body: bytes
) -> None:
    reader = PacketReader()
    found = [*reader.feed(signed(flags, body)), *reader.close()]
    assert len(found) + len(reader.problems) == reader.count == 1


@pytest.mark.parametrize(
    ("flags", "body", "why"),
    [
        (0x0800, b"\x04a\0bc", "NUL"),
        (0x0800, b"\x02\xff\xfe", "UTF8"),
        (0x0800, b"\x03\xed\xa0\x80", "UTF8"),
        (0x0800, b"\x3fab", "63 bytes"),
        (0x0800, b"", "unpack"),
        (0x0080, b"\xff\xff\xff\xff", "unpack"),
        (0x0040, b"\x01a\x7f\xff", "16383 bytes"),
        (0x0200, b"\x00\x00", "unpack"),
    ],
)
def test_the_error_for_invalid_content_has_the_reason(flags: int, body: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        decode(signed(flags, body))


def test_a_test_named_subunit_parser_is_read_as_a_test(
    subunit_stream: Callable[..., bytes],
) -> None:
    stream = subunit_stream(("subunit.parser", "fail"))
    reader = PacketReader()
    ((offset, packet),) = reader.feed(stream)
    assert (offset, packet.test_id, reader.problems) == (0, "subunit.parser", [])


@pytest.mark.parametrize(
    "head", [b"\xb2\x28\x00\x08", b"\xb3\x18\x00\x08", b"\xb3\x28\x00\x07", b"\xb3\x28\x00\xc0"]
)
def test_an_invalid_header_does_not_delay_the_next_packet(
    head: bytes, subunit_stream: Callable[..., bytes]
) -> None:
    reader = PacketReader()
    assert list(reader.feed(head + bytes(8) + subunit_stream(("a", "success"))))
