# SPDX-License-Identifier: Apache-2.0
"""Compressed external evidence, like the logs of OpenStack jobs."""

import gzip
from pathlib import Path
from typing import Any

import pytest

from bsdgate.results.judge import judge_files
from bsdgate.results.model import Code, Level, Result, Verdict

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
REPORTS = [
    ("subunit/clean/stream.subunit", "subunit", "asked.txt", "asked"),
    ("junit/pytest/stream.xml", "junit", "asked.txt", "asked"),
    ("rally/dummies/stream.json", "rally", "asked.json", "rally_task"),
    ("verification/tempest/stream.json", "rally", "asked.txt", "asked"),
]


def judged(report: Path, original: str, kind: str, asked: str, role: str) -> Verdict:
    list_ = (GOLDEN / original).with_name(asked)
    reports: dict[str, Any] = {kind: [report]}
    if role == "rally_task":
        return judge_files(None, **reports, rally_task=[list_])
    return judge_files(list_, **reports)


@pytest.mark.parametrize("row", REPORTS, ids=lambda row: row[0])
def test_a_compressed_report_is_judged_like_the_plain_report(
    tmp_path: Path, row: tuple[str, str, str, str]
) -> None:
    file = tmp_path / Path(row[0]).name
    file.write_bytes(gzip.compress((GOLDEN / row[0]).read_bytes()))
    plain, packed = judged(GOLDEN / row[0], *row), judged(file, *row)
    assert (packed.result, packed.cases) == (plain.result, plain.cases)
    assert packed.reasons == plain.reasons


@pytest.mark.parametrize("row", REPORTS, ids=lambda row: row[0])
@pytest.mark.parametrize("cut", [10, -1])
def test_a_truncated_compressed_report_is_an_error(
    tmp_path: Path, row: tuple[str, str, str, str], cut: int
) -> None:
    file = tmp_path / "report.gz"
    file.write_bytes(gzip.compress((GOLDEN / row[0]).read_bytes())[:cut])
    verdict = judged(file, *row)
    assert verdict.result is Result.ERROR
    errors = [reason for reason in verdict.reasons if reason.level is Level.ERROR]
    assert any("report.gz: the gzip data is truncated" in reason.message for reason in errors)
    assert Code.TRUNCATED in {reason.code for reason in errors}
    if cut == -1 and row[1] == "subunit":
        assert verdict.counts["missing"] == 0
