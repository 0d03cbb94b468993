# SPDX-License-Identifier: Apache-2.0
"""Lint and tests do not depend on the date: they pass after the end of life of all versions."""

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]

# The types are replaced before another module imports them.
IN_2040 = """
import datetime
import sys

class Kind(type):
    def __instancecheck__(cls, value):
        return isinstance(value, cls.__base__)

def later(kind):
    class Later(kind, metaclass=Kind):
        @classmethod
        def now(cls, tz=None):
            return moment.now(tz) + shift

        @classmethod
        def today(cls):
            return kind.today() + shift

    return Later

moment = datetime.datetime
shift = moment(2040, 1, 1) - moment.now()
datetime.datetime, datetime.date = later(datetime.datetime), later(datetime.date)
"""
RUN_TESTS = "import pytest; sys.exit(pytest.main(sys.argv[1:]))"
RUN_LINT = "from lint import structure; sys.exit(structure.main())"
PRINT_YEAR = "from unit.harness.manifests import manifest; print(manifest().created.year)"


def in_2040(program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", f"{IN_2040}\nsys.path.insert(0, {str(TESTS)!r})\n{program}"]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.timeout(180)
def test_tests_of_versions_and_runs_pass_in_2040() -> None:
    names = (
        "harness/profiles/test_matrix.py",
        "harness/test_steps.py",
        "results/test_reference.py",
    )
    files = [TESTS / "unit" / name for name in names]
    done = in_2040(RUN_TESTS, "-p", "no:cacheprovider", *files)
    assert done.returncode == 0, done.stdout + done.stderr


def test_lint_passes_in_2040() -> None:
    done = in_2040(RUN_LINT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_run_of_these_programs_begins_in_2040() -> None:
    assert in_2040(PRINT_YEAR).stdout == "2040\n"
