# SPDX-License-Identifier: Apache-2.0
"""The date of external evidence, which decides whether known failures have expired."""

import os
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bsdgate.results.expectations import Expectation
from bsdgate.results.external_evidence import load_files
from bsdgate.results.model import Code, Evidence, Level, Result
from bsdgate.results.policy import CHECK, DEVELOPER, GATE, NIGHTLY, Policy
from bsdgate.results.verdict import judge

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
LAST_DAY = date(2026, 6, 30)
KNOWN = Expectation(
    "m.C.fails",
    bug="https://bugs.example.org/1",
    owner="jane",
    reason="reason",
    since=date(2026, 1, 1),
    expires=LAST_DAY,
)
LONG_AGO = 499162500
"""In 1985: npm and other programs give this time to the files of an archive."""


@pytest.fixture
def files(tmp_path: Path, subunit_stream: Callable[..., bytes]) -> Callable[..., Evidence]:
    """Return a function that writes a stream of a failure and a success, and their list."""

    def make(*began: datetime, name: str = "a.subunit", written: float = LONG_AGO) -> Evidence:
        packets = []
        for test_id, status in (("m.C.fails", "fail"), ("m.C.good", "success")):
            packets += [
                {"test_id": test_id, "test_status": "inprogress", "timestamp": moment}
                for moment in began
            ]
            packets += [{"test_id": test_id, "test_status": status}]
        asked, stream = tmp_path / "asked.txt", tmp_path / name
        asked.write_text("m.C.fails\nm.C.good\n")
        stream.write_bytes(subunit_stream(*packets))
        for path in (asked, stream):
            os.utime(path, (written, written))
        return load_files(asked, subunit=[stream])

    return make


def test_an_expired_entry_excuses_nothing_with_any_time_of_the_files(
    files: Callable[..., Evidence],
) -> None:
    found = files(datetime(2026, 11, 27, 10, tzinfo=UTC))
    assert found.run.created.date() == date(2026, 11, 27)
    for policy in (DEVELOPER, GATE):
        assert judge(found, [KNOWN], policy).result is Result.FAIL


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "Pacific/Honolulu"])
def test_an_entry_is_valid_until_the_end_of_its_last_day_in_utc(
    files: Callable[..., Evidence], monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        last = datetime(2026, 6, 30, 23, 59, 59, tzinfo=UTC)
        now = time.time()
        assert judge(files(last, written=now), [KNOWN], GATE).result is Result.PASS
        after = files(last + timedelta(seconds=1), written=LONG_AGO)
        assert judge(after, [KNOWN], GATE).result is Result.FAIL
    finally:
        monkeypatch.undo()
        time.tzset()


def test_the_date_is_the_latest_time_in_all_files(
    tmp_path: Path, subunit_stream: Callable[..., bytes]
) -> None:
    asked = tmp_path / "asked.txt"
    asked.write_text("m.C.one\nm.C.two\n")
    streams = []
    for name, year in (("one", 2026), ("two", 1970)):
        began = datetime(year, 11, 27, tzinfo=UTC)
        packet = {"test_id": f"m.C.{name}", "test_status": "success", "timestamp": began}
        streams.append(tmp_path / name)
        streams[-1].write_bytes(subunit_stream(packet))
    for given in (streams, streams[::-1]):
        assert load_files(asked, subunit=given).run.created.year == 2026


@pytest.mark.parametrize(
    ("kind", "name", "moment"),
    [
        ("junit", "junit/pytest/stream.xml", datetime(2026, 11, 22, 15, 49, 24, 690787, UTC)),
        ("junit", "junit/kyua/stream.xml", datetime(2026, 11, 22, 19, 32, 59, 881317, UTC)),
        ("rally", "verification/lost/stream.json", datetime(2026, 11, 22, 12, tzinfo=UTC)),
    ],
)
def test_the_date_is_read_from_each_kind_of_report(
    tmp_path: Path, kind: str, name: str, moment: datetime
) -> None:
    report = tmp_path / "report"
    report.write_bytes((GOLDEN / name).read_bytes())
    os.utime(report, (LONG_AGO, LONG_AGO))
    reports: dict[str, Any] = {kind: [report]}
    found = load_files(**reports)
    assert found.run.created == moment
    assert Code.UNDATED not in {problem.code for problem in found.problems}


TOO_LONG = f"2026-11-28T03:00:00.{'1' * 30}+05:00"


@pytest.mark.parametrize(
    "timestamp", ["", "soon", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00+23", TOO_LONG]
)
def test_an_invalid_time_gives_no_date(tmp_path: Path, timestamp: str) -> None:
    report = tmp_path / "report.xml"
    case = '<testcase classname="a" name="b"/>'
    report.write_text(f'<testsuite timestamp="{timestamp}">{case}</testsuite>')
    (problem,) = load_files(junit=[report]).problems
    assert problem.code is Code.UNDATED


def test_times_in_the_output_of_a_test_give_no_date(tmp_path: Path) -> None:
    block = "Timing information\n------------------\n\nStart time: 1985-11-22T19:32:59.1Z\n"
    report = tmp_path / "report.xml"
    report.write_text(
        '<testsuite><testcase classname="a" name="b">'
        f"<system-err>{block}</system-err><system-out>{block}</system-out>"
        "</testcase></testsuite>"
    )
    (problem,) = load_files(junit=[report]).problems
    assert problem.code is Code.UNDATED


@pytest.mark.parametrize(
    ("policy", "level"),
    [
        (DEVELOPER, Level.NOTE),
        (CHECK, Level.ERROR),
        (GATE, Level.ERROR),
        (NIGHTLY, Level.ERROR),
    ],
)
def test_without_times_only_the_developer_policy_accepts_an_excuse(
    files: Callable[..., Evidence], policy: Policy, level: Level
) -> None:
    written = datetime(2026, 6, 30, 10, tzinfo=UTC).timestamp()
    verdict = judge(files(written=written), [KNOWN], policy)
    (reason,) = (one for one in verdict.reasons if one.code is Code.UNDATED)
    assert reason.level is level
    assert "2026-06-30" in reason.message
    assert verdict.result is (Result.PASS if level is Level.NOTE else Result.ERROR)


def test_without_excuses_a_missing_date_is_a_note(files: Callable[..., Evidence]) -> None:
    verdict = judge(files(written=LONG_AGO), [], GATE)
    assert verdict.result is Result.FAIL
    assert {one.level for one in verdict.reasons if one.code is Code.UNDATED} == {Level.NOTE}
