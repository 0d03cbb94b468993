# SPDX-License-Identifier: Apache-2.0
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bsdgate.results.model import Case, Code, Level, Outcome, Reason
from bsdgate.results.parsers.subunit import StatusEvent, StreamReader, parse

OWNER = ("run", "01-tempest")
BEGAN = datetime(2026, 11, 22, 12, tzinfo=UTC)


def events(*chunks: bytes) -> tuple[list[StatusEvent], StreamReader]:
    reader = StreamReader()
    found = [event for chunk in chunks for event in reader.feed(chunk)]
    return found + reader.close(), reader


def read(
    stream: bytes, owner: tuple[str, str] | None = None
) -> tuple[list[Case], dict[Code, Reason]]:
    found = list(parse(BytesIO(stream), owner))
    cases = [item for item in found if isinstance(item, Case)]
    reasons = [item for item in found if isinstance(item, Reason)]
    return cases, {item.code: item for item in reasons if item.level is Level.ERROR}


def notes(stream: bytes, owner: tuple[str, str] | None = None) -> list[Code]:
    found = parse(BytesIO(stream), owner)
    return [item.code for item in found if isinstance(item, Reason) and item.level is Level.NOTE]


def sealed(stream: bytes, owner: tuple[str, str] = OWNER) -> bytes:
    reader = StreamReader()
    reader.feed(stream)
    return stream + reader.make_seal(*owner)


@pytest.fixture
def two_tests(subunit_stream: Callable[..., bytes]) -> bytes:
    def packet(test_id: str, **fields: Any) -> dict[str, Any]:
        return {"test_id": test_id, "test_tags": {"worker-1"}, "route_code": "1"} | fields

    return subunit_stream(
        packet("m.A.one", test_status="exists"),
        packet("m.A.one", test_status="inprogress", timestamp=BEGAN),
        packet("m.A.two", test_status="inprogress", timestamp=BEGAN),
        packet("m.A.one", test_status="success", timestamp=BEGAN + timedelta(seconds=1.5)),
        {"file_name": "stdout", "file_bytes": b"a worker printed this", "route_code": "1"},
        packet("m.A.two", file_name="traceback", file_bytes=b"Trace", mime_type="text/plain"),
        packet("m.A.two", file_name="traceback", file_bytes=b"back\nValueError: 5\n"),
        packet("m.A.two", test_status="fail", timestamp=BEGAN + timedelta(seconds=2)),
    )


@pytest.mark.parametrize("status", ["fail", "uxsuccess", "skip", "success", "xfail"])
def test_an_outcome_without_a_test_id_is_an_error(
    subunit_stream: Callable[..., bytes], status: str
) -> None:
    lost = {"test_id": None, "test_status": status, "file_name": "a", "file_bytes": b"E"}
    cases, errors = read(sealed(subunit_stream(("m.A.one", "success"), lost)), OWNER)
    assert [case.id for case in cases] == ["m.A.one"]
    assert repr(status) in errors[Code.DAMAGED].message


def test_a_stream_is_read_as_events(two_tests: bytes) -> None:
    found, reader = events(two_tests)
    assert [(event.id, event.status) for event in found] == [
        ("m.A.one", "exists"),
        ("m.A.one", "inprogress"),
        ("m.A.two", "inprogress"),
        ("m.A.one", "success"),
        ("m.A.two", "fail"),
    ]
    assert {event.worker for event in found} == {"worker-1"}
    assert found[-1].started == BEGAN
    assert found[-1].reason == "ValueError: 5"
    assert found[-1].details == "traceback:\nTraceback\nValueError: 5\n"
    assert reader.problems == ()
    assert not reader.progress.unfinished


def test_cases_have_times_and_workers(two_tests: bytes) -> None:
    (one, two), problems = read(two_tests)
    assert (one.id, one.outcome, one.started, one.seconds) == (
        "m.A.one",
        Outcome.SUCCESS,
        BEGAN,
        1.5,
    )
    assert (two.outcome, two.worker) == (Outcome.FAIL, "worker-1")
    assert problems == {}


@pytest.mark.parametrize(("took", "seconds"), [(-3600, None), (-0.5, None), (0, 0.0), (2, 2.0)])
def test_a_test_in_which_the_clock_was_set_back_has_no_duration(
    subunit_stream: Callable[..., bytes], took: float, seconds: float | None
) -> None:
    stream = subunit_stream(
        {"test_id": "a", "test_status": "inprogress", "timestamp": BEGAN},
        {"test_id": "a", "test_status": "success", "timestamp": BEGAN + timedelta(seconds=took)},
    )
    assert read(stream) == ([Case("a", Outcome.SUCCESS, BEGAN, seconds)], {})


def test_a_skip_has_its_reason(subunit_stream: Callable[..., bytes]) -> None:
    stream = subunit_stream(
        {"test_id": "a", "file_name": "reason", "file_bytes": b"no volume service"},
        ("a", "skip"),
    )
    ((case,), _) = read(stream)
    assert (case.outcome, case.reason, case.details) == (Outcome.SKIP, "no volume service", None)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=60))
def test_a_stream_in_pieces_of_any_size_has_the_same_events(sizes: list[int]) -> None:
    from subunit.v2 import StreamResultToBytes

    out = BytesIO()
    writer = StreamResultToBytes(out)
    for number in range(5):
        writer.status(test_id=f"m.A.t{number}", test_status="inprogress")
        writer.status(test_id=f"m.A.t{number}", test_status="success")
    whole = out.getvalue()
    chunks, rest = [], whole
    for size in sizes:
        chunks.append(rest[:size])
        rest = rest[size:]
    assert events(*chunks, rest)[0] == events(whole)[0]


def test_an_empty_stream_is_an_error() -> None:
    assert set(read(b"", OWNER)[1]) == {Code.EMPTY_STREAM}


def test_an_unfinished_test_is_reported(subunit_stream: Callable[..., bytes]) -> None:
    _, problems = read(subunit_stream(("a", "exists"), ("b", "inprogress")))
    assert problems[Code.IN_PROGRESS].ids == ("b",)


def test_a_truncated_packet_is_an_error_without_a_seal(two_tests: bytes) -> None:
    cases, problems = read(two_tests[:-3])
    assert len(cases) == 1
    assert set(problems) == {Code.TRUNCATED, Code.IN_PROGRESS}


def test_with_an_expected_owner_a_missing_seal_is_an_error(two_tests: bytes) -> None:
    assert set(read(two_tests, OWNER)[1]) == {Code.TRUNCATED}
    assert read(sealed(two_tests), OWNER)[1] == {}


def test_without_an_expected_owner_a_missing_seal_is_a_note(two_tests: bytes) -> None:
    assert notes(two_tests) == [Code.NO_SEAL]
    assert notes(sealed(two_tests)) == []
    assert notes(sealed(two_tests), OWNER) == []


def test_without_an_expected_owner_any_seal_is_checked(
    subunit_stream: Callable[..., bytes],
) -> None:
    first, second = subunit_stream(("a", "success")), subunit_stream(("b", "success"))
    whole = sealed(first + second)
    assert read(whole)[1] == {}
    assert set(read(whole.replace(second, b""))[1]) == {Code.DAMAGED}


@pytest.mark.parametrize("owner", [("other", "01-tempest"), ("run", "02-tempest")])
def test_the_seal_of_another_owner_is_refused(two_tests: bytes, owner: tuple[str, str]) -> None:
    assert set(read(sealed(two_tests), owner)[1]) == {Code.FOREIGN_EVIDENCE}


def test_a_removed_packet_contradicts_the_seal(subunit_stream: Callable[..., bytes]) -> None:
    first, second = subunit_stream(("a", "success")), subunit_stream(("b", "success"))
    whole = sealed(first + second)
    cases, problems = read(whole.replace(second, b""), OWNER)
    assert [case.id for case in cases] == ["a"]
    assert set(problems) == {Code.DAMAGED}


def test_two_streams_in_one_file_are_an_error(two_tests: bytes) -> None:
    messages = [str(item) for item in parse(BytesIO(sealed(two_tests) * 2), OWNER)]
    assert any("packets follow the stream's seal" in item for item in messages)


def test_bytes_between_packets_are_an_error_and_lose_no_packet(
    subunit_stream: Callable[..., bytes],
) -> None:
    first, second = subunit_stream(("a", "success")), subunit_stream(("b", "success"))
    garbage = "a warning, in \N{SUPERSCRIPT THREE} bytes \N{SUPERSCRIPT THREE}.".encode() + b"\xff"
    cases, problems = read(first + garbage + second)
    assert [case.id for case in cases] == ["a", "b"]
    assert "a warning, in" in problems[Code.DAMAGED].message


def test_a_flipped_bit_is_an_error(two_tests: bytes) -> None:
    damaged = bytearray(two_tests)
    damaged[60] ^= 0x10
    _, problems = read(bytes(damaged))
    assert Code.DAMAGED in problems


def test_a_packet_with_a_correct_checksum_and_invalid_content_is_an_error(
    subunit_stream: Callable[..., bytes],
) -> None:
    # The flags announce a test id, but the packet ends there.
    flags = struct.pack(">H", 0x2000 | 0x0800 | 0x3)
    content = b"\xb3" + flags + bytes([8])
    packet = content + struct.pack(">I", zlib.crc32(content))
    cases, problems = read(packet + subunit_stream(("b", "success")))
    assert [case.id for case in cases] == ["b"]
    assert set(problems) == {Code.DAMAGED}


@given(st.binary(max_size=300))
def test_any_bytes_are_read_without_a_crash(data: bytes) -> None:
    cases, problems = read(data, OWNER)
    assert problems
    assert cases == []


def test_many_false_headers_are_an_error() -> None:
    # Each of these could be the start of a packet of one megabyte.
    data = b"\xb3\x28\x00\x90\x00\xff" * 400_000
    reader = StreamReader()
    assert reader.feed(data) == []
    reader.close()
    assert reader.problems[0].code is Code.DAMAGED


def test_a_too_long_test_id_is_an_error(subunit_stream: Callable[..., bytes]) -> None:
    cases, problems = read(subunit_stream(("x" * 5000, "success")))
    assert cases == []
    assert "5000 characters" in problems[Code.DAMAGED].message


def test_memory_does_not_grow_with_attachments(subunit_stream: Callable[..., bytes]) -> None:
    chunk = subunit_stream(
        {"test_id": "a", "file_name": "log", "file_bytes": b"x" * 100_000, "mime_type": "text/x"}
    )
    reader = StreamReader()
    reader.feed(chunk)
    tracemalloc.start()
    for _ in range(200):
        reader.feed(chunk)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000


def test_details_of_running_tests_have_a_common_limit(subunit_stream: Callable[..., bytes]) -> None:
    reader = StreamReader()
    for number in range(700):
        reader.feed(
            subunit_stream(
                {"test_id": f"t{number}", "file_name": "traceback", "file_bytes": b"x" * 65536}
            )
        )
    found = reader.feed(subunit_stream(("t0", "fail"), ("t699", "fail")))
    assert "x" * 1000 in (found[0].details or "")
    assert (found[1].details or "").startswith(
        "[... 1 chunks of further attachments cut, the whole text is at byte "
    )


def test_cut_details_have_the_offset_of_the_whole_text(
    subunit_stream: Callable[..., bytes],
) -> None:
    def log(content: bytes) -> dict[str, Any]:
        return {"test_id": "a", "file_name": "log", "file_bytes": content}

    before = subunit_stream(("b", "success"), {"file_name": "stdout", "file_bytes": b"\n"})
    first = subunit_stream(log(b"first" * 10_000))
    stream = before + first + subunit_stream(log(b"second" * 10_000), ("a", "fail"))
    (_, case), problems = read(stream)
    assert f"44464 bytes cut, the whole text is at byte {len(before)} of the stream" in (
        case.details or ""
    )
    assert problems == {}
    # A reader of subunit that starts at that byte finds the whole text.
    (whole,), _ = read(stream[len(before) :])
    assert (whole.details or "").startswith(
        "log:\n[... 44464 bytes cut, the whole text is at byte 0 "
    )


def test_details_above_the_limit_of_a_stream_have_the_offset_of_the_text(
    subunit_stream: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bsdgate.results.parsers.details.KEPT_BOUND", 10)
    one, two = (
        subunit_stream(
            {"test_id": name, "file_name": "traceback", "file_bytes": b"ValueError: 5"},
            (name, "fail"),
        )
        for name in "ab"
    )
    (first, second), _ = read(one + two)
    assert first.details == "traceback:\nValueError: 5\n"
    assert f"the whole text is at byte {len(one)} of the stream" in (second.details or "")
    assert second.reason == "ValueError: 5"


# Hostile or broken streams.


def test_a_truncated_stream_is_an_error_without_new_outcomes(two_tests: bytes) -> None:
    whole, _ = read(two_tests)
    known = {(case.id, case.outcome) for case in whole}
    stream = sealed(two_tests)
    for place in range(len(stream)):
        cases, problems = read(stream[:place], OWNER)
        assert problems, place
        assert {(case.id, case.outcome) for case in cases} <= known, place


def test_each_flipped_byte_is_an_error_without_new_outcomes(two_tests: bytes) -> None:
    whole, _ = read(two_tests)
    known = {(case.id, case.outcome) for case in whole}
    stream = sealed(two_tests)
    for place in range(len(stream)):
        damaged = bytearray(stream)
        damaged[place] ^= 0xFF
        cases, problems = read(bytes(damaged), OWNER)
        assert problems, place
        assert {(case.id, case.outcome) for case in cases} <= known, place


@pytest.mark.parametrize("stranger", [b"\x1f\x8b\x08\x00", b"PK\x03\x04", b"<testsuites/>", b"\0"])
def test_a_file_of_another_format_is_an_error(stranger: bytes) -> None:
    cases, problems = read(stranger + bytes(range(256)) * 400, OWNER)
    assert cases == []
    assert Code.DAMAGED in problems


def test_an_id_with_any_characters_is_unchanged(subunit_stream: Callable[..., bytes]) -> None:
    test_id = "a.test[\x1b[31m<script>alert(1)</script>\r\n\N{RIGHT-TO-LEFT OVERRIDE}]"
    ((case,), problems) = read(subunit_stream((test_id, "success")))
    assert (case.id, problems) == (test_id, {})


@pytest.mark.parametrize("place", [3, 4])
def test_a_damaged_length_loses_one_packet(
    subunit_stream: Callable[..., bytes], place: int
) -> None:
    # python-subunit skips as many bytes as the damaged length, with the packets in them.
    first, *others = [subunit_stream((name, "success")) for name in "abcde"]
    damaged = bytearray(first)
    damaged[place] |= 0x80
    cases, problems = read(bytes(damaged) + b"".join(others))
    assert [case.id for case in cases] == ["b", "c", "d", "e"]
    assert problems


@pytest.mark.parametrize("content", [b"\x02\xff\xfe", b"\x03a\0b"])
def test_an_id_that_is_not_text_is_an_error_and_loses_one_packet(
    subunit_stream: Callable[..., bytes], content: bytes
) -> None:
    body = b"\xb3" + struct.pack(">H", 0x2803) + bytes([8 + len(content)]) + content
    packet = body + struct.pack(">I", zlib.crc32(body))
    cases, problems = read(packet + subunit_stream(("b", "success")))
    assert [case.id for case in cases] == ["b"]
    assert "the packet at byte 0 cannot be decoded" in problems[Code.DAMAGED].message


def test_above_a_limit_of_damage_the_rest_is_only_counted(
    subunit_stream: Callable[..., bytes],
) -> None:
    rest = subunit_stream(("a", "success"))
    reader = StreamReader()
    for _ in range(40):
        reader.feed(b"x" * 65536)
    assert reader.feed(rest) == []
    reader.close()
    (problem,) = reader.problems
    assert problem.message.startswith(f"{40 * 65536 + len(rest)} bytes between packets")


@pytest.mark.parametrize("size", [1 << 16, 1 << 22])
@pytest.mark.parametrize("head", [b"\xb3\x28\x00\x90\x00\xff", b"\xb3\x28", b"\xb3\x28\x00\x08"])
def test_a_truncated_packet_full_of_false_headers_is_an_error(head: bytes, size: int) -> None:
    # The header has a length of 4 MiB; each further header could be that of a whole packet.
    reader = StreamReader()
    reader.feed(b"\xb3\x28\x00\xbf\xff\xff" + (head * size)[: size - 100])
    reader.close()
    assert {problem.code for problem in reader.problems} <= {Code.TRUNCATED, Code.DAMAGED}
    assert reader.problems


def test_the_number_of_tests_in_progress_is_limited(subunit_stream: Callable[..., bytes]) -> None:
    stream = subunit_stream(*((f"t{number}", "inprogress") for number in range(3000)))
    _, problems = read(stream)
    assert "more than 2000 tests are in progress" in problems[Code.DAMAGED].message
    assert len(problems[Code.IN_PROGRESS].ids) == 2000


def test_long_names_of_attachments_use_little_memory(subunit_stream: Callable[..., bytes]) -> None:
    def attach(number: int) -> bytes:
        name = f"{number}" * 60_000
        return subunit_stream({"test_id": "a", "file_name": name, "file_bytes": b"x"})

    reader = StreamReader()
    tracemalloc.start()
    for number in range(100, 140):
        reader.feed(attach(number))
    current, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    (event,) = reader.feed(subunit_stream(("a", "fail")))
    assert current < 500_000
    assert event.details
    assert len(event.details) < 10_000


@pytest.mark.parametrize(
    "content",
    [b"{}", b"[]", b"\xff", b'{"run_id": 1, "attempt": 2, "packets": 1e999}', b"[" * 5000],
)
def test_a_seal_that_cannot_be_read_is_an_error(
    subunit_stream: Callable[..., bytes], content: bytes
) -> None:
    stream = subunit_stream(("a", "success"), {"file_name": "bsdgate.seal", "file_bytes": content})
    assert set(read(stream, OWNER)[1]) == {Code.DAMAGED, Code.TRUNCATED}


def test_memory_does_not_grow_with_the_number_of_tests(
    subunit_stream: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    # 2,000 tests are enough, because the limit for ended tests is lowered to 100.
    monkeypatch.setattr("bsdgate.results.parsers.details.ENDED_BOUND", 100)
    reader = StreamReader()
    tracemalloc.start()
    for number in range(0, 2_000, 50):
        batch = range(number, number + 50)
        reader.feed(
            subunit_stream(*((f"m.A.t{n}", s) for n in batch for s in ("inprogress", "skip")))
        )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200_000
