# SPDX-License-Identifier: Apache-2.0
"""The log lines for a failure: found in one pass, limited in number, in logs of any content."""

import os
import tracemalloc
from datetime import UTC, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.results.reporters.made import REQUEST, failed, later

from bsdgate.results.inspections import NodeClock
from bsdgate.results.model import Case
from bsdgate.results.reporters import servicelogs
from bsdgate.results.reporters.servicelogs import requests_of, search

OTHER = REQUEST.replace("5", "6")


def line(
    seconds: float, text: str, level: str = "INFO", request: str = REQUEST, process: int = 7
) -> str:
    """Return a line of oslo.log, ``seconds`` after BEGAN."""
    time = later(seconds).isoformat(" ", "milliseconds")[:23]
    return f"{time} {process} {level} nova.compute [None {request} - - - - - -] {text}\n"


def traceback(seconds: int, *texts: str, process: int = 7, instance: str = "") -> str:
    time = later(seconds).isoformat(" ", "milliseconds")[:23]
    return "".join(f"{time} {process} ERROR nova.compute {instance}{text}\n" for text in texts)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def find(folder: Path, *failures: Case, **logs: Any) -> tuple[list[servicelogs.Lines], list[str]]:
    for service, content in logs.items():
        data = content if isinstance(content, bytes) else content.encode()
        (folder / f"{service}.log").write_bytes(data)
    return search(folder, failures, UTC)


def texts(lines: servicelogs.Lines) -> list[str]:
    return [one.text.rpartition("] ")[2] for one in lines.lines]


OWN = failed("m.own", details=REQUEST)
SILENT = failed("m.silent")


def test_request_ids_are_read_from_the_details_of_a_failure() -> None:
    case = failed("m.a", details=f"x {REQUEST} y {OTHER}, {REQUEST} not-{REQUEST[:-1]}")
    assert requests_of(case) == [REQUEST, OTHER]


def test_only_the_last_request_ids_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servicelogs, "REQUESTS_BOUND", 1)
    assert requests_of(failed("m.a", details=f"{REQUEST} {OTHER}")) == [OTHER]


def test_lines_of_a_request_are_found_in_all_logs_and_sorted_by_time(folder: Path) -> None:
    nova = line(3, "third") + line(0, "of another", request=OTHER)
    keystone = line(1, "first") + line(2, "second")
    (found,), _ = find(folder, OWN, nova=nova, keystone=keystone)
    assert texts(found) == ["first", "second", "third"]
    assert [one.service for one in found.lines] == ["keystone", "keystone", "nova"]
    assert found.lines[0].time == "12:00:01.000"
    assert all(one.own for one in found.lines)


def test_a_traceback_belongs_to_the_line_before_it(folder: Path) -> None:
    log = (
        line(30, "broke", "ERROR")
        + traceback(30, "Traceback (most recent call last):", "ValueError: 5")
        + traceback(30, "of another process", process=8)
        + line(30, "another's", "ERROR", OTHER)
        + traceback(30, "another's too")
    )
    (found,), _ = find(folder, OWN, nova=log)
    assert [one.text.split(" ", 1)[1] for one in found.lines[1:]] == [
        "Traceback (most recent call last):",
        "ValueError: 5",
    ]


def test_a_traceback_with_an_instance_belongs_to_the_line_before_it(folder: Path) -> None:
    log = line(30, "broke", "ERROR") + traceback(30, "ValueError: 5", instance="[instance: 1-2] ")
    assert texts(find(folder, OWN, nova=log)[0][0])[-1] == "ValueError: 5"


def test_a_line_without_a_time_belongs_to_the_line_before_it(folder: Path) -> None:
    log = "what a library says\n" + line(30, "asked") + "the answer\n" + line(31, "x", request="-")
    assert texts(find(folder, OWN, nova=log)[0][0]) == ["asked", "the answer"]


def test_errors_during_the_test_are_found_without_a_request_id(folder: Path) -> None:
    log = (
        line(-5, "before", "ERROR", "-")
        + line(1, "meanwhile", "ERROR", "-")
        + line(1, "chatter", "INFO", "-")
        + line(9, "after", "ERROR", "-")
    )
    (lines,), _ = find(folder, OWN, nova=log)
    assert texts(lines) == ["meanwhile"]
    assert not lines.lines[0].own


def test_a_failure_without_request_ids_has_all_lines_during_the_test(folder: Path) -> None:
    log = line(-5, "before") + line(1, "during") + line(9, "after")
    assert texts(find(folder, SILENT, nova=log)[0][0]) == ["during"]


def test_the_times_of_logs_are_in_the_zone_of_the_services(folder: Path) -> None:
    (folder / "nova.log").write_text(line(3600, "an hour east", request="-"))
    east = timezone(timedelta(hours=1))
    assert texts(search(folder, [SILENT], east)[0][0]) == ["an hour east"]
    assert texts(search(folder, [SILENT], UTC)[0][0]) == []


@pytest.mark.parametrize("ahead", [3600.0, -40.0])
def test_the_times_of_logs_are_those_of_the_clock_of_the_node(folder: Path, ahead: float) -> None:
    log = line(ahead + 0.5, "at its time") + line(0.5, "at the time of the controller")
    (folder / "nova.log").write_text(log)
    difference = timedelta(seconds=ahead)
    clock = NodeClock(((later(0), difference, timedelta()), (later(60), difference, timedelta())))
    (found,), _ = search(folder, [SILENT], UTC, clock)
    assert texts(found) == ["at its time"]


def test_the_error_of_the_clock_extends_the_time_of_the_test(folder: Path) -> None:
    (folder / "nova.log").write_text(line(-6, "before the margin"))
    assert search(folder, [SILENT], UTC)[0][0].lines == ()
    clock = NodeClock(((later(0), timedelta(), timedelta(seconds=10)),))
    (found,), _ = search(folder, [SILENT], UTC, clock)
    assert texts(found) == ["before the margin"]


def test_each_failure_has_its_own_lines(folder: Path) -> None:
    log = line(1, "one") + line(1, "two", request=OTHER)
    moved = failed("m.moved", details=OTHER, started=later(100))
    found, _ = find(folder, OWN, moved, failed("m.none", started=None), nova=log)
    assert list(map(texts, found)) == [["one"], ["two"], []]


def test_a_failure_keeps_its_last_lines_and_counts_the_others(folder: Path) -> None:
    talk = "".join(line(n / 10, f"t{n}") for n in range(50))
    errors = "".join(line(n / 10, f"e{n}", "ERROR") for n in range(50))
    (lines,), _ = find(folder, OWN, a=errors, b=talk)
    kept = servicelogs.KEPT["errors"] + servicelogs.KEPT["talk"]
    assert len(lines.lines) == kept
    assert lines.left_out == 100 - kept
    assert {"e49", "t49"} <= set(texts(lines))


@pytest.mark.parametrize("rubbish", [b"\0" * 5000, b"\xff\xfe\n" * 9, b"x" * 70_000, b"req-\n" * 9])
def test_lines_are_found_beside_invalid_content(folder: Path, rubbish: bytes) -> None:
    log = rubbish + b"\n" + line(1, "found").encode() + rubbish
    assert "found" in texts(find(folder, OWN, nova=log)[0][0])[0]


def test_only_the_beginning_of_a_huge_line_is_kept(folder: Path) -> None:
    log = line(1, "x" * 100_000) + line(2, "next")
    first, second = find(folder, OWN, nova=log)[0][0].lines
    assert first.text.endswith("x …")
    assert len(first.text) < servicelogs.LINE_BOUND
    assert second.text.endswith("next")


def test_only_the_end_of_a_huge_log_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servicelogs, "READ_BOUND", 1 << 20)
    log = line(1, "early") + "x\n" * (1 << 19) + line(2, "late")
    (found,), problems = find(folder, OWN, nova=log)
    assert texts(found) == ["late"]
    assert problems == ["nova.log: only the last 1 MB were read"]


def test_symbolic_links_pipes_and_directories_are_not_read(folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(line(1, "secret"))
    (folder / "link.log").symlink_to(secret)
    os.mkfifo(folder / "pipe.log")
    (folder / "folder.log").mkdir()
    (found,), problems = find(folder, OWN, nova=line(1, "found"))
    assert texts(found) == ["found"]
    assert [problem.partition(" ")[0] for problem in problems] == [
        "folder.log",
        "link.log",
        "pipe.log",
    ]
    link = tmp_path / "services"
    link.symlink_to(folder)
    assert search(link, [OWN], UTC)[0][0].lines == ()


def test_without_logs_or_failures_there_are_no_lines(folder: Path) -> None:
    assert search(folder / "gone", [OWN])[0][0].lines == ()
    assert search(folder, []) == ([], [])


def test_the_number_of_logs_is_limited(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servicelogs, "FILES_BOUND", 1)
    (found,), problems = find(folder, OWN, a=line(1, "a"), b=line(1, "b"))
    assert texts(found) == ["a"]
    assert problems == ["b.log was not read: too many logs"]


def test_memory_does_not_grow_with_the_logs(folder: Path) -> None:
    content = "".join(line(n / 1000, f"line {n}", "ERROR") for n in range(2000)).encode()
    with (folder / "nova.log").open("wb") as log:
        for _ in range(16):
            log.write(content)
    tracemalloc.start()
    try:
        search(folder, [OWN] * 20, UTC)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (folder / "nova.log").stat().st_size > 3_000_000
    assert peak < 1_000_000


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=80),
            st.builds(
                lambda *of: line(*of).encode(),
                st.integers(-9, 9),
                st.text(max_size=9),
                st.sampled_from(["INFO", "ERROR"]),
                st.sampled_from([REQUEST, OTHER, "-"]),
            ),
        ),
        max_size=40,
    )
)
def test_lines_with_a_request_id_are_found_in_any_content(
    tmp_path_factory: pytest.TempPathFactory, parts: list[bytes]
) -> None:
    folder = tmp_path_factory.mktemp("logs")
    log = b"".join(part.rstrip(b"\n") + b"\n" for part in parts)
    (lines,), _ = find(folder, OWN, nova=log)
    named = sum(REQUEST.encode() in part for part in log.split(b"\n"))
    own = sum(one.own for one in lines.lines)
    assert own + lines.left_out >= min(named, servicelogs.KEPT["talk"])
    assert len(lines.lines) <= sum(servicelogs.KEPT.values())
