# SPDX-License-Identifier: Apache-2.0
"""python-subunit is the oracle: what it can write, and what it makes of any one packet."""

import struct
import zlib
from datetime import UTC, datetime, timedelta
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from subunit.v2 import ByteStreamToStreamResult, StreamResultToBytes

from bsdgate.results.parsers.packets import BadPacketError, claimed, decode, is_whole

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=300)
STATUS = st.sampled_from(
    [None, "exists", "inprogress", "success", "uxsuccess", "skip", "fail", "xfail"]
)
FILES = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"file_name": TEXT, "file_bytes": st.binary(max_size=20_000)}),
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECONDS = st.integers(0, (1 << 32) * 1_000_000 - 1)
PACKETS = st.builds(
    lambda file, **fields: fields | file,
    FILES,
    test_id=st.none() | TEXT,
    test_status=STATUS,
    test_tags=st.none() | st.sets(TEXT, max_size=80),
    runnable=st.booleans(),
    eof=st.booleans(),
    mime_type=st.none() | TEXT,
    route_code=st.none() | TEXT,
    timestamp=st.none() | st.builds(lambda n: EPOCH + timedelta(microseconds=n), MICROSECONDS),
)


class Recorder:
    """Takes down what python-subunit tells, as our packets have it."""

    def __init__(self):
        self.events = []

    def status(self, **packet):
        assert packet["test_id"] != "subunit.parser", packet
        content = packet["file_bytes"]
        self.events.append(
            (
                packet["test_id"],
                packet["test_status"],
                packet["timestamp"],
                packet["test_tags"] or set(),
                packet["mime_type"],
                packet["file_name"],
                bytes(content) if content is not None else b"",
                packet["route_code"],
            )
        )


def theirs(stream):
    recorder = Recorder()
    ByteStreamToStreamResult(BytesIO(stream)).run(recorder)
    return recorder.events


def ours(stream):
    events, at = [], 0
    while at < len(stream):
        end = at + claimed(stream, at)
        assert end > at
        assert is_whole(stream, at, end)
        packet = decode(stream, at, end)
        events.append(tuple(packet._replace(tags=set(packet.tags))))
        at = end
    return events


@given(st.lists(PACKETS, max_size=8))
def test_any_stream_that_python_subunit_writes_is_read_alike(packets):
    out = BytesIO()
    writer = StreamResultToBytes(out)
    for packet in packets:
        writer.status(**packet)
    assert ours(out.getvalue()) == theirs(out.getvalue())


def signed(flags, body):
    """A packet whose checksum is right, whatever it holds."""
    length = 1 + 2 + 2 + len(body) + 4
    content = b"\xb3" + struct.pack(">HH", 0x2000 | flags, 0x4000 | length) + body
    return content + struct.pack(">I", zlib.crc32(content))


@given(st.integers(0, 0xFFF), st.binary(max_size=60))
def test_any_content_is_read_alike_or_refused_by_both(flags, body):
    stream = signed(flags, body)
    try:
        expected = theirs(stream)
    except (AssertionError, struct.error, IndexError, OverflowError, ValueError):
        with pytest.raises(BadPacketError):
            decode(stream, 0, len(stream))
    else:
        # python-subunit keeps half nanoseconds, as floats do; no writer of it writes any.
        assert [event[:2] + event[3:] for event in ours(stream)] == [
            event[:2] + event[3:] for event in expected
        ]


@pytest.mark.parametrize(
    ("flags", "body", "why"),
    [
        (0x0800, b"\x04a\0bc", "nul"),
        (0x0800, b"\x02\xff\xfe", "UTF-8"),
        (0x0800, b"\x03\xed\xa0\x80", "UTF-8"),
        (0x0800, b"\x3fab", "text of 63 bytes"),
        (0x0800, b"", "packet's end"),
        (0x0080, b"\xff\xff\xff\xff", "packet's end"),
        (0x0040, b"\x01a\x7f\xff", "16383 bytes reach"),
        (0x0200, b"\x00\x00", "packet's end"),
    ],
)
def test_content_that_is_refused_says_why(flags, body, why):
    stream = signed(flags, body)
    with pytest.raises(BadPacketError, match=why):
        decode(stream, 0, len(stream))


@pytest.mark.parametrize(
    "head", [b"\xb2\x28\x00\x08", b"\xb3\x18\x00\x08", b"\xb3\x28\x00\x07", b"\xb3\x28\x00\xc0"]
)
def test_what_begins_no_packet_claims_nothing(head):
    assert claimed(head + bytes(8), 0) == 0
