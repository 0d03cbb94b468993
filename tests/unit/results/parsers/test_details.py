# SPDX-License-Identifier: Apache-2.0
from bsdgate.results.parsers.details import CASE_BOUND, Details, last_line, tail


def test_tracebacks_come_first_and_the_tail_is_kept():
    details = Details()
    details.add("service log", "text/plain", b"x" * (5 * CASE_BOUND))
    details.add("traceback", "text/x-traceback", b"Traceback\n")
    details.add("traceback", "text/x-traceback", b"ValueError: 5\n")
    text = details.text()
    assert text.startswith("traceback:\nTraceback\nValueError: 5\n\nservice log:\n[... ")
    assert text.count("x") < CASE_BOUND
    assert len(text) < CASE_BOUND + 200
    assert details.held < 3 * CASE_BOUND


def test_a_long_traceback_keeps_its_end_and_says_so():
    details = Details()
    for _ in range(100):
        details.add("traceback", None, b"a" * 5000)
    details.add("traceback", None, b"\nValueError: the end")
    assert details.text().endswith("ValueError: the end\n")
    assert "bytes cut" in details.text()
    assert details.reason() == "ValueError: the end"


def test_attachments_beyond_number_are_counted():
    details = Details()
    for number in range(50):
        details.add(f"file {number}", "text/plain", b"x")
    assert "18 chunks" in details.text()


def test_what_is_not_text_is_only_named():
    details = Details()
    details.add("disk", "application/octet-stream", b"\x00\xff")
    details.add("log", "text/plain", b"ol\xe9")
    assert "disk: 2 bytes, not text" in details.text()
    assert "ol\N{REPLACEMENT CHARACTER}" in details.text()
    assert details.reason() is None


def test_last_line_skips_blank_ones():
    assert last_line("a\n b \n\n") == "b"
    assert last_line("\n") is None


def test_tail_marks_its_cut():
    assert tail("short") == "short"
    assert tail("x" * (CASE_BOUND + 5)).startswith("[... 5 characters cut ...]\n")
