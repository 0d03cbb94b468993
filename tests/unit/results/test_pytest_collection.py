# SPDX-License-Identifier: Apache-2.0
"""Reports of the installed pytest on modules and classes that it cannot collect or skips."""

import subprocess
import sys
from pathlib import Path

import pytest

from bsdgate.results.judge import judge_files
from bsdgate.results.model import Code, Level, Outcome, Result, Verdict

GOOD = "def test_x(): pass\n"
SKIPS = 'import pytest\npytest.importorskip("no_such_module")\ndef test_a(): pass\n'
BREAKS = "import no_such_module\ndef test_a(): pass\ndef test_b(): pass\n"
CLASS = """\
import pytest
def test_x(): pass
class TestC:
    {}def test_a(self): pass
    def test_b(self): pass
"""
WRONG = 'nope = pytest.mark.parametrize("nope", [1])\n    @nope\n    '


def judged(folder: Path, asked: list[str], **sources: str) -> Verdict:
    """Run pytest on modules of a package and judge its report."""
    for name, source in sources.items():
        file = folder / "checks" / f"{name}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(source)
    (folder / "asked.txt").write_text("".join(f"{one}\n" for one in asked))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml=r.xml"]
    command += ["--continue-on-collection-errors", "checks"]
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True)
    assert done.returncode in (0, 1)
    return judge_files(folder / "asked.txt", junit=[folder / "r.xml"])


def test_a_skipped_module_is_lost_coverage(tmp_path: Path) -> None:
    verdict = judged(tmp_path, ["checks/test_good.py::test_x"], test_good=GOOD, test_skips=SKIPS)
    assert verdict.result is Result.PASS
    (lost,) = (reason for reason in verdict.reasons if reason.code is Code.COVERAGE_LOST)
    assert (lost.level, lost.ids) == (Level.NOTE, ("collection (checks.test_skips)",))
    assert "collection skipped: could not import 'no_such_module'" in lost.message


def test_asked_tests_of_a_skipped_module_are_skipped(tmp_path: Path) -> None:
    asked = ["checks/test_good.py::test_x", "checks/test_skips.py::test_a"]
    verdict = judged(tmp_path, asked, test_good=GOOD, test_skips=SKIPS)
    _, skipped = verdict.cases
    assert verdict.result is Result.PASS
    assert skipped.outcome is Outcome.SKIP
    assert (skipped.reason or "").startswith("collection skipped: could not import")


def test_a_module_that_cannot_be_imported_fails_its_tests(tmp_path: Path) -> None:
    broken = ["checks/test_breaks.py::test_a", "checks/test_breaks.py::test_b"]
    asked = [*broken, "checks/test_breaks_not.py::test_x"]
    verdict = judged(tmp_path, asked, test_breaks=BREAKS, test_breaks_not=GOOD)
    assert verdict.result is Result.FAIL
    (fixture,) = verdict.setup_failures
    assert fixture.id == "collection (checks/test_breaks.py)"
    assert fixture.reason == (
        "collection failure: ModuleNotFoundError: No module named 'no_such_module'"
    )
    assert "import no_such_module" in (fixture.details or "")
    failed = {case.id: case for case in verdict.cases if case.outcome is Outcome.FAIL}
    assert sorted(failed) == broken
    assert all("no_such_module" in (case.reason or "") for case in failed.values())


def test_a_broken_module_without_asked_tests_is_an_error(tmp_path: Path) -> None:
    verdict = judged(tmp_path, ["checks/test_good.py::test_x"], test_good=GOOD, test_breaks=BREAKS)
    assert verdict.result is Result.ERROR
    (fixture,) = verdict.setup_failures
    assert "no_such_module" in (fixture.reason or "")


def test_a_class_that_cannot_be_collected_fails_its_tests(tmp_path: Path) -> None:
    members = [f"checks/test_c.py::TestC::test_{name}" for name in "ab"]
    asked = [*members, "checks/test_c.py::test_x"]
    assert judged(tmp_path, asked, test_c=CLASS.format("")).result is Result.PASS
    verdict = judged(tmp_path, asked, test_c=CLASS.format(WRONG))
    assert verdict.result is Result.FAIL
    assert [case.id for case in verdict.cases if case.outcome is Outcome.FAIL] == members
    assert "function uses no argument 'nope'" in (verdict.setup_failures[0].reason or "")


@pytest.mark.parametrize("outcome", ["skip", "fail"])
def test_without_a_list_a_collection_is_not_a_test(tmp_path: Path, outcome: str) -> None:
    judged(tmp_path, [], test_good=GOOD, test_other=SKIPS if outcome == "skip" else BREAKS)
    verdict = judge_files(None, junit=[tmp_path / "r.xml"])
    assert [case.id for case in verdict.cases] == ["checks.test_good.test_x"]
    assert len(verdict.setup_failures) == (outcome == "fail")


def test_the_documented_command_lists_the_tests_that_pytest_runs(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "doc" / "source" / "user" / "run.rst").read_text()
    (command,) = (line[5:] for line in page.splitlines() if line.startswith("   $ pytest "))
    (tmp_path / "test_good.py").write_text(CLASS.format(""))
    (tmp_path / "test_breaks.py").write_text(BREAKS)
    env = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(["sh", "-c", command], cwd=tmp_path, env=env, check=True)
    assert (tmp_path / "asked.txt").read_text().splitlines() == [
        "test_good.py::test_x",
        "test_good.py::TestC::test_a",
        "test_good.py::TestC::test_b",
    ]


def test_a_repeated_test_is_an_error_with_the_option_to_remove(tmp_path: Path) -> None:
    # A report of pytest-rerunfailures: the first execution has no failure.
    once = '<testcase classname="test_x" name="test_a" time="0.001"/>'
    (tmp_path / "r.xml").write_text(f"<testsuites><testsuite>{once * 2}</testsuite></testsuites>")
    (tmp_path / "asked.txt").write_text("test_x.py::test_a\n")
    verdict = judge_files(tmp_path / "asked.txt", junit=[tmp_path / "r.xml"])
    assert verdict.result is Result.ERROR
    (twice,) = (reason for reason in verdict.reasons if reason.code is Code.DUPLICATED)
    assert twice.message == (
        "1 requested test reported more than once: if the runner repeats failed tests"
        " (pytest --reruns), remove --reruns"
    )
