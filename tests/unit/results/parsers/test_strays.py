# SPDX-License-Identifier: Apache-2.0
"""Content of a stream beside packets with an outcome: text, other bytes, late attachments."""

from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import pytest
from unit.results.parsers.test_subunit import OWNER, events, read, sealed

from bsdgate.results.model import Code, Level, Reason
from bsdgate.results.parsers.details import HELD_BOUND, OPEN_BOUND
from bsdgate.results.parsers.subunit import parse

BEGAN = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def parts(subunit_stream: Callable[..., bytes]) -> tuple[bytes, bytes]:
    return subunit_stream(("a", "success")), subunit_stream(("b", "success"))


@pytest.mark.parametrize(
    ("noise", "shown"),
    [
        (b"\xff" * 3, r"\xff\xff\xff"),
        (b"\0\n", r"\x00"),
        (b"\x1b[31mred\xff", r"\x1b[31mred\xff"),
        (b"\xff" * 10_000, r"\xff" * 150),
    ],
)
def test_only_the_bytes_outside_packets_are_shown(
    parts: tuple[bytes, bytes], noise: bytes, shown: str
) -> None:
    first, second = parts
    cases, problems = read(noise + first + second)
    assert [case.id for case in cases] == ["a", "b"]
    message = f"{len(noise)} bytes between packets are not subunit: {shown}"
    assert problems[Code.DAMAGED].message == message


def test_bytes_outside_packets_are_shown_from_all_places(parts: tuple[bytes, bytes]) -> None:
    first, second = parts
    _, problems = read(b"one\xff" + first + b"two\n" + second + b"three")
    assert problems[Code.DAMAGED].message.endswith(
        r"13 bytes between packets are not subunit: "
        r"one\xff two three"
    )


TEXTS = [
    b"py311: commands[0]> stestr run --subunit\n",
    b"\n",
    b"\x1b[1mbold\x1b[0m\r\n\tText",
    "\N{SUPERSCRIPT THREE} \N{SUPERSCRIPT THREE}.\n".encode(),
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_text_between_packets_is_a_note(parts: tuple[bytes, bytes], text: bytes, size: int) -> None:
    first, second = parts
    stream = text + first + text + second + text
    assert read(stream) == (read(first + second)[0], {})
    (stray, _) = (item for item in parse(BytesIO(stream), None) if isinstance(item, Reason))
    assert (stray.level, stray.code) == (Level.NOTE, Code.STRAY)
    assert stray.message.startswith(f"{3 * len(text)} bytes of text between packets: ")
    _, reader = events(*(stream[at : at + size] for at in range(0, len(stream), size)))
    assert reader.source.printed == stray.message
    assert reader.problems == ()


@pytest.mark.parametrize("text", TEXTS)
def test_text_in_a_stream_of_the_harness_is_an_error(
    parts: tuple[bytes, bytes], text: bytes
) -> None:
    first, second = parts
    assert set(read(sealed(first + text + second), OWNER)[1]) == {Code.DAMAGED}


@pytest.mark.parametrize("flaw", [b"\0", b"\xff", b"\xc2", b"\x7f", b"\xb3"])
def test_text_with_a_control_or_invalid_byte_is_an_error(
    parts: tuple[bytes, bytes], flaw: bytes
) -> None:
    first, second = parts
    assert Code.DAMAGED in read(b"text\n" + first + b"text" + flaw + second)[1]


def test_a_stream_with_only_text_is_an_error() -> None:
    assert set(read(b"Traceback (most recent call last):\n")[1]) == {Code.DAMAGED}


def test_a_damaged_packet_with_a_status_is_an_error(
    subunit_stream: Callable[..., bytes],
) -> None:
    for status in ("success", "fail", "skip"):
        for tags in (None, {"worker-1"}):
            fields = {"test_id": "m.C.a", "test_status": status, "timestamp": BEGAN}
            packet = subunit_stream(fields | {"test_tags": tags})
            around = subunit_stream(("b", "success"))
            for place in range(len(packet)):
                for bit in range(8):
                    damaged = bytearray(packet)
                    damaged[place] ^= 1 << bit
                    assert read(around + bytes(damaged) + around)[1], (place, bit)


def attachment(test_id: str, name: str = "log") -> dict[str, Any]:
    return {"test_id": test_id, "file_name": name, "file_bytes": b"late", "mime_type": "text/x"}


def test_an_attachment_after_the_end_of_its_test_is_a_note_and_not_an_outcome(
    subunit_stream: Callable[..., bytes],
) -> None:
    stream = subunit_stream(("a", "success"), attachment("a"), ("b", "success"))
    cases, problems = read(stream)
    assert [case.id for case in cases] == ["a", "b"]
    assert problems == {}
    stray, _ = (item for item in parse(BytesIO(stream), None) if isinstance(item, Reason))
    assert (stray.level, stray.code, stray.ids) == (Level.NOTE, Code.STRAY, ("a",))
    assert set(read(sealed(stream), OWNER)[1]) == {Code.DAMAGED}


def test_an_attachment_before_a_second_start_belongs_to_the_second_start(
    subunit_stream: Callable[..., bytes],
) -> None:
    again = subunit_stream(("a", "fail"), attachment("a"), ("a", "inprogress"))
    assert read(again)[1][Code.IN_PROGRESS].ids == ("a",)
    (_, second), problems = read(again + subunit_stream(("a", "fail")))
    assert (problems, second.details) == ({}, "log:\nlate\n")


def test_a_test_with_attachments_and_no_outcome_is_in_progress(
    subunit_stream: Callable[..., bytes],
) -> None:
    # unittest reports a failed tearDownClass without an inprogress packet.
    broken = attachment("tearDownClass (m.C)", "traceback")
    _, problems = read(subunit_stream(("m.C.a", "success"), broken))
    assert problems[Code.IN_PROGRESS].ids == ("tearDownClass (m.C)",)


def test_late_attachments_do_not_count_as_tests_in_progress(
    subunit_stream: Callable[..., bytes],
) -> None:
    ids = [f"t{number}" for number in range(2 * OPEN_BOUND + 5)]
    stream = subunit_stream(
        *((each, "success") for each in ids), *(attachment(each) for each in ids), ("z", "success")
    )
    assert read(stream)[1] == {}
    _, reader = events(stream)
    assert set(reader.progress.late) == set(ids)


def test_late_attachments_leave_space_for_those_of_running_tests(
    subunit_stream: Callable[..., bytes],
) -> None:
    chunk = {"file_name": "log", "file_bytes": b"x" * 100_000, "mime_type": "text/x"}
    late = subunit_stream(*(chunk | {"test_id": f"t{n}"} for n in range(HELD_BOUND // 60_000)))
    ended = subunit_stream(*((f"t{n}", "success") for n in range(HELD_BOUND // 60_000)))
    (*_, case), problems = read(ended + late + subunit_stream(attachment("a"), ("a", "fail")))
    assert (case.details, problems) == ("log:\nlate\n", {})
