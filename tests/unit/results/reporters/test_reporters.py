# SPDX-License-Identifier: Apache-2.0
"""The common properties of all reporters: the same content, and no control characters."""

import json
import os
from pathlib import Path
from types import ModuleType

import pytest
from unit.results.conftest import RunDir
from unit.results.reporters.made import REQUEST, earlier, failed, hostile, verdict_of

from bsdgate.results import document
from bsdgate.results.errors import ReportError
from bsdgate.results.model import Case, Code, Outcome, Result, note
from bsdgate.results.reporters import html, junit, text, write_all, zuul

REPORTS = ["report.html", "report.txt", "report.xml", "verdict.json", "zuul.json"]
LINE = f"2026-11-22 12:00:01.000 7 ERROR nova.compute [None {REQUEST} - - -] no <b>host</b>\n"


@pytest.mark.parametrize("reporter", [text, junit, html, document])
def test_reports_contain_no_control_characters(reporter: ModuleType) -> None:
    content = reporter.render(hostile())
    assert "\x1b" not in content
    assert "\x00" not in content
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in content


@pytest.mark.parametrize("reporter", [text, junit, html, document, zuul])
def test_a_missing_seal_is_reported_with_a_pass(reporter: ModuleType) -> None:
    reasons = [note(Code.NO_SEAL, "the seal is missing")]
    verdict = verdict_of(Result.PASS, Case("m.a", Outcome.SUCCESS), reasons=reasons)
    assert "the seal is missing" in str(reporter.render(verdict))


def test_warnings_for_zuul_are_printable() -> None:
    warnings = zuul.render(hostile())["zuul"]["warnings"]
    assert warnings
    assert all(line.isprintable() for line in warnings)


def test_all_reports_are_written_and_replaced(run_dir: RunDir) -> None:
    run_dir.recorded("subunit", "outcomes")
    verdict = run_dir.judge()
    write_all(verdict, run_dir.path)
    write_all(verdict, run_dir.path)
    folder = run_dir.path / "report"
    assert sorted(file.name for file in folder.iterdir()) == REPORTS
    assert document.parse((folder / "verdict.json").read_bytes()) == verdict
    assert json.loads((folder / "zuul.json").read_text()) == zuul.render(verdict)
    assert (folder / "report.html").read_text() == html.render(verdict)
    assert (folder / "report.xml").read_text() == junit.render(verdict)


@pytest.mark.parametrize("kind", ["link", "dangling link", "file"])
def test_a_report_path_that_is_not_a_directory_is_refused(
    run_dir: RunDir, tmp_path: Path, kind: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    report = run_dir.path / "report"
    if kind == "file":
        report.write_text("mine")
    else:
        report.symlink_to(elsewhere)
    if kind == "link":
        elsewhere.mkdir()
    with pytest.raises(ReportError, match="report is not a folder") as caught:
        write_all(verdict_of(Result.PASS), run_dir.path)
    assert caught.value.exit_code == 2
    assert caught.value.hint
    assert not elsewhere.exists() or list(elsewhere.iterdir()) == []


def test_symbolic_links_in_a_report_are_replaced_and_not_followed(
    run_dir: RunDir, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.write_text("mine")
    folder = run_dir.path / "report"
    folder.mkdir()
    for name in ("report.txt", f".report.txt.{os.getpid()}"):
        (folder / name).symlink_to(other)
    write_all(verdict_of(Result.PASS), run_dir.path)
    assert other.read_text() == "mine"
    assert sorted(file.name for file in folder.iterdir()) == REPORTS


def test_a_verdict_with_a_lone_surrogate_is_reported(run_dir: RunDir) -> None:
    case = failed("m.\ud800", details="\ud800")
    write_all(verdict_of(Result.FAIL, case), run_dir.path)
    assert (run_dir.path / "report" / "verdict.json").stat().st_size


def test_the_report_has_the_log_lines_of_services(run_dir: RunDir) -> None:
    logs = run_dir.path / "logs" / "services"
    logs.mkdir(parents=True)
    (logs / "nova.log").write_text(LINE)
    write_all(verdict_of(Result.FAIL, failed("m.a", details=f"x\n{REQUEST}")), run_dir.path)
    page = (run_dir.path / "report" / "report.html").read_text()
    assert "no &lt;b&gt;host&lt;/b&gt;" in page
    assert REQUEST in page


def test_the_report_has_the_earlier_runs(run_dir: RunDir) -> None:
    passed = verdict_of(Result.PASS, Case("m.a", Outcome.SUCCESS))
    past = earlier(86400, Result.PASS, {"success": 1}, 60.0)
    write_all(passed, run_dir.path, history=[past])
    assert "Earlier runs: 1 of 1 passed" in (run_dir.path / "report" / "report.html").read_text()


def test_a_failure_in_a_changed_file_has_a_comment(run_dir: RunDir) -> None:
    case = failed("m.a", details='traceback:\n  File "/x/keystone/api/users.py", line 7, in get\n')
    write_all(
        verdict_of(Result.FAIL, case), run_dir.path, changed=["keystone/api/users.py", "README"]
    )
    written = json.loads((run_dir.path / "report" / "zuul.json").read_text())
    assert list(written["zuul"]["file_comments"]) == ["keystone/api/users.py"]


def test_a_failed_write_keeps_the_old_report_and_leaves_no_temporary_file(
    run_dir: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict = verdict_of(Result.PASS, Case("m.a", Outcome.SUCCESS))
    write_all(verdict, run_dir.path)
    before = (run_dir.path / "report" / "report.html").read_text()

    def full(_: int) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="the disk is full"):
        write_all(verdict, run_dir.path)
    assert (run_dir.path / "report" / "report.html").read_text() == before
    assert sorted(file.name for file in (run_dir.path / "report").iterdir()) == REPORTS


@pytest.mark.parametrize("name", ["report.txt", "report.xml", "zuul.json"])
def test_a_failed_write_leaves_no_verdict_of_the_earlier_report(run_dir: RunDir, name: str) -> None:
    write_all(verdict_of(Result.PASS), run_dir.path)
    folder = run_dir.path / "report"
    (folder / name).unlink()
    (folder / name).mkdir()
    with pytest.raises(OSError, match=name):
        write_all(verdict_of(Result.ERROR), run_dir.path)
    assert not (folder / "verdict.json").exists()
    left = [path for path in folder.iterdir() if path.is_file()]
    assert not any("ERROR" in path.read_text() for path in left)
