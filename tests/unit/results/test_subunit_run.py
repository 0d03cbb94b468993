# SPDX-License-Identifier: Apache-2.0
"""Streams of the installed ``python -m subunit.run``."""

import subprocess
import sys
from pathlib import Path

from bsdgate.results.judge import judge_files
from bsdgate.results.model import Code, Level, Outcome, Result, Verdict

GOOD = "import unittest\nclass C(unittest.TestCase):\n    def test_a(self): {}\n"
SKIPS = "import unittest\nraise unittest.SkipTest('no ZFS here')\n"


def judged(folder: Path, asked: list[str], **sources: str) -> Verdict:
    """Run the modules of a package and judge the stream."""
    (folder / "tiny").mkdir()
    (folder / "tiny" / "__init__.py").touch()
    for name, source in sources.items():
        (folder / "tiny" / f"{name}.py").write_text(source)
    command = [sys.executable, "-m", "subunit.run", "discover", "-t", ".", "tiny"]
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True)
    (folder / "stream").write_bytes(done.stdout)
    (folder / "asked.txt").write_text("".join(f"{one}\n" for one in asked))
    return judge_files(folder / "asked.txt", subunit=[folder / "stream"])


def test_a_module_that_is_skipped_at_its_import_is_lost_coverage(tmp_path: Path) -> None:
    modules = {"test_good": GOOD.format("pass"), "test_skips": SKIPS}
    verdict = judged(tmp_path, ["tiny.test_good.C.test_a"], **modules)
    assert verdict.result is Result.PASS
    (lost,) = (reason for reason in verdict.reasons if reason.code is Code.COVERAGE_LOST)
    assert lost.level is Level.NOTE
    assert lost.ids == ("unittest.loader.ModuleSkipped.tiny.test_skips",)
    assert "no ZFS here" in lost.message


def test_asked_tests_of_a_skipped_module_are_skipped(tmp_path: Path) -> None:
    asked = ["tiny.test_good.C.test_a", "tiny.test_skips.C.test_b"]
    verdict = judged(tmp_path, asked, test_good=GOOD.format("pass"), test_skips=SKIPS)
    assert verdict.result is Result.PASS
    assert [case.outcome for case in verdict.cases] == [Outcome.SUCCESS, Outcome.SKIP]
    assert verdict.cases[1].reason == "no ZFS here"


def test_output_of_a_test_in_the_stream_is_a_note(tmp_path: Path) -> None:
    verdict = judged(tmp_path, ["tiny.test_x.C.test_a"], test_x=GOOD.format("print('hello')"))
    assert verdict.result is Result.PASS
    assert b"hello" in (tmp_path / "stream").read_bytes()
    (stray,) = (reason for reason in verdict.reasons if reason.code is Code.STRAY)
    assert stray.level is Level.NOTE
    assert stray.message.endswith("6 bytes of text between packets: hello")


def test_output_of_a_test_hides_no_failure_and_no_lost_test(tmp_path: Path) -> None:
    broken = GOOD.format("print('hello'); self.fail('broken')")
    asked = ["tiny.test_x.C.test_a"]
    assert judged(tmp_path, asked, test_x=broken).result is Result.FAIL
    (tmp_path / "asked.txt").write_text("tiny.test_x.C.test_a\ntiny.test_x.C.test_b\n")
    lost = judge_files(tmp_path / "asked.txt", subunit=[tmp_path / "stream"])
    assert lost.result is Result.ERROR
