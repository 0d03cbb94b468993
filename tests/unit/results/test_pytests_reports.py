# SPDX-License-Identifier: Apache-2.0
"""Reports of the installed pytest."""

import subprocess
import sys
from pathlib import Path

from bsdgate.results.judge import judge_files
from bsdgate.results.model import Code, Outcome, Result, Verdict

NEVER_RUN = """\
import pytest

@pytest.mark.xfail(run=False, reason="panics the kernel")
def test_not_run(): assert 0

@pytest.mark.xfail(run=False, reason="a class that is not run")
class TestC:
    def test_not_run(self): assert 0
"""
RUN = """
@pytest.mark.xfail(reason="known")
def test_run(): assert 0
"""


def judged(folder: Path, source: str) -> Verdict:
    """Run pytest on a module, and judge its report with the list of tests that pytest collects."""
    (folder / "test_x.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_x.py"]
    listed = subprocess.run(
        [*command, "--collect-only"], cwd=folder, check=True, capture_output=True, text=True
    )
    asked = [line for line in listed.stdout.splitlines() if "::" in line]
    (folder / "asked.txt").write_text("".join(f"{one}\n" for one in asked))
    subprocess.run([*command, "--junitxml=r.xml"], cwd=folder, check=True, capture_output=True)
    return judge_files(folder / "asked.txt", junit=[folder / "r.xml"])


def test_an_expected_failure_that_was_not_run_is_a_skip(tmp_path: Path) -> None:
    verdict = judged(tmp_path, NEVER_RUN + RUN)
    assert {case.id: case.outcome for case in verdict.cases} == {
        "test_x.py::test_not_run": Outcome.SKIP,
        "test_x.py::TestC::test_not_run": Outcome.SKIP,
        "test_x.py::test_run": Outcome.XFAIL,
    }
    assert "[NOTRUN] panics the kernel" in {case.reason for case in verdict.cases}
    lost = {reason.ids for reason in verdict.reasons if reason.code is Code.COVERAGE_LOST}
    assert ("test_x.py::test_not_run",) in lost
    assert verdict.result is Result.PASS


def test_a_report_of_only_expected_failures_that_were_not_run_is_an_error(tmp_path: Path) -> None:
    verdict = judged(tmp_path, NEVER_RUN)
    assert verdict.result is Result.ERROR
    assert Code.NOTHING_RAN in {reason.code for reason in verdict.reasons}
