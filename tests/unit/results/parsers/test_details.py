# SPDX-License-Identifier: Apache-2.0
import pytest

from bsdgate.results.parsers.details import (
    ATTACHMENT_COST,
    CASE_BOUND,
    HEAD_BOUND,
    Details,
    Kept,
    Tail,
    last_line,
    tail,
)


def test_tracebacks_come_first_and_a_long_log_keeps_its_tail() -> None:
    details = Details()
    details.add("service log", "text/plain", b"x" * (5 * CASE_BOUND))
    details.add("traceback", "text/x-traceback", b"Traceback\n")
    details.add("traceback", "text/x-traceback", b"ValueError: 5\n")
    text = details.text()
    assert text
    assert text.startswith("traceback:\nTraceback\nValueError: 5\n\nservice log:\n[... ")
    assert text.count("x") < CASE_BOUND
    assert len(text) < CASE_BOUND + 200
    assert details.held < 3 * CASE_BOUND


def test_a_long_traceback_keeps_its_end_and_marks_the_cut() -> None:
    details = Details()
    for _ in range(100):
        details.add("traceback", None, b"a" * 5000)
    details.add("traceback", None, b"\nValueError: the end")
    assert (details.text() or "").endswith("ValueError: the end\n")
    assert "bytes cut" in (details.text() or "")
    assert details.reason() == "ValueError: the end"


def test_the_reason_has_each_of_several_failures() -> None:
    details = Details()
    details.add("traceback", None, b"ServerFault: " + b"long " * 1000)
    details.add("traceback-1", None, b"RuntimeError: the cleanup failed")
    assert (details.reason() or "").endswith("; RuntimeError: the cleanup failed")


def test_attachments_above_the_limit_are_counted() -> None:
    details = Details()
    for number in range(50):
        details.add(f"file {number}", "text/plain", b"x")
    assert "18 chunks" in (details.text() or "")


def test_an_attachment_that_is_not_text_is_only_named() -> None:
    details = Details()
    details.add("disk", "application/octet-stream", b"\x00\xff")
    details.add("log", "text/plain", b"ol\xe9")
    assert "disk: 2 bytes, not text" in (details.text() or "")
    assert "ol\N{REPLACEMENT CHARACTER}" in (details.text() or "")
    assert details.reason() is None


def test_last_line_skips_blank_lines() -> None:
    assert last_line("a\n b \n\n") == "b"
    assert last_line("\n") is None


def test_tail_marks_the_cut() -> None:
    assert tail("short") == "short"
    assert tail("x" * (CASE_BOUND + 5)).startswith("[... 5 bytes cut ...]\n")


def test_the_memory_of_details_is_limited() -> None:
    details = Details()
    details.add("log", None, b"x" * 10)
    assert details.held == ATTACHMENT_COST + 10
    details.add("log", None, b"x" * 5 * CASE_BOUND)
    assert CASE_BOUND < details.held < 2 * CASE_BOUND


def test_only_cut_details_have_the_offset_of_the_whole_text() -> None:
    details = Details(offset=4711)
    details.add("log", None, b"short")
    text = details.text()
    assert text
    assert "4711" not in text
    details.add("log", None, b"x" * CASE_BOUND)
    assert "[... 5 bytes cut, the whole text is at byte 4711 of the stream ...]" in (
        details.text() or ""
    )


def test_a_growing_text_keeps_its_head_and_its_tail() -> None:
    text = Tail()
    for number in range(100_000):
        text.add(f"line {number}\n".encode())
    assert text.head.startswith("line 0\nline 1\n")
    assert len(text.head) == HEAD_BOUND
    assert text.kept.endswith("line 99999\n")
    assert len(text.kept) == CASE_BOUND
    assert text.within(3, ", whole").startswith("[... 1088887 bytes cut, whole ...]\n99")


def test_a_cut_inside_a_character_damages_only_that_character() -> None:
    text = Tail()
    text.add(b"x" + "\N{SUPERSCRIPT THREE}".encode() * CASE_BOUND)
    assert text.head == "x" + "\N{SUPERSCRIPT THREE}" * ((HEAD_BOUND - 1) // 2)
    text.add("\N{SUPERSCRIPT THREE}".encode()[:1])
    assert text.kept.count("\N{REPLACEMENT CHARACTER}") == 2


def test_details_above_the_limit_of_all_tests_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bsdgate.results.parsers.details.KEPT_BOUND", 5)
    kept = Kept()
    assert kept.keep(None, 1) is None
    assert kept.keep("123456", 2) == "123456"
    assert kept.keep(None, 3) is None
    assert kept.keep("1", 4) == (
        "[left out: the details of all tests are too large,"
        " the whole text is at byte 4 of the stream]"
    )
