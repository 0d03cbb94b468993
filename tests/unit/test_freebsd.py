# SPDX-License-Identifier: Apache-2.0
"""What a FreeBSD machine needs before tests can run there, and what it can do without."""

import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
FREEBSD = {"platform_system": "FreeBSD", "sys_platform": "freebsd15"}

WITHOUT_UV = """
import sys
sys.executable = "/nowhere/python"
import pytest
sys.exit(pytest.main(sys.argv[1:]))
"""


@pytest.fixture
def test_file(tmp_path: Path) -> Path:
    """Return a file of two tests beside a conftest like ours, of which one needs uv."""
    conftest = (ROOT / "tests" / "conftest.py").read_text()
    (tmp_path / "conftest.py").write_text(conftest)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    path = tmp_path / "test_two.py"
    path.write_text("def test_without():\n    pass\n\n\ndef test_with(uv):\n    pass\n")
    return path


@pytest.mark.timeout(180)
def test_tests_start_without_uv(test_file: Path) -> None:
    tests = str(Path(__file__).parents[1])
    command = [sys.executable, "-c", WITHOUT_UV, "-rs", "-p", "no:cacheprovider", str(test_file)]
    env = {"PATH": "/nowhere", "PYTHONPATH": tests}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert "1 passed, 1 skipped" in done.stdout, done.stdout + done.stderr
    assert "uv is missing: run the tests through tox, or install uv" in done.stdout


def test_hypothesis_is_pure_python() -> None:
    lines = (ROOT / "constraints" / "tools.txt").read_text().splitlines()
    pins = [Requirement(line.rstrip(" \\")) for line in lines if line.startswith("hypothesis")]
    there = [pin for pin in pins if pin.marker is None or pin.marker.evaluate(FREEBSD)]
    assert [str(pin.specifier) for pin in there] == ["==6.130.0"]


@pytest.mark.parametrize("library", ["libffi", "libxml2", "libxslt"])
def test_libraries_that_are_not_in_base_are_listed(library: str) -> None:
    lines = (ROOT / "bindep.txt").read_text().splitlines()
    assert f"{library} [platform:freebsd]" in lines
