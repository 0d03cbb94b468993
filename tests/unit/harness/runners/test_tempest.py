# SPDX-License-Identifier: Apache-2.0
"""bsdgate.harness.runners.tempest: what the process that runs the tests is given."""

import importlib.util
from pathlib import Path

import pytest

from bsdgate.harness import folders
from bsdgate.harness.runners.tempest import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Return a workspace with a Python that only shows its environment."""
    programs = tmp_path / "bin"
    programs.mkdir()
    python = programs / "python"
    python.write_text("#!/bin/sh\nexec env\n")
    python.chmod(0o755)
    logs = tmp_path / "logs"
    folders.make(logs)
    made = Workspace(tmp_path / "tempest", programs, tmp_path / "clouds.yaml", logs)
    made.create()
    return made


def output(workspace: Workspace, test_timeout: float) -> list[str]:
    written = b""
    with workspace.running(["m.A.one"], 1, test_timeout) as running:
        while chunk := running.read():
            written += chunk
    return written.decode().splitlines()


@pytest.mark.parametrize(("seconds", "given"), [(300.0, "300"), (0.2, "1"), (4.5, "5")])
def test_tempest_is_given_the_time_of_one_test_in_whole_seconds(
    workspace: Workspace, seconds: float, given: str
) -> None:
    """Zero would be no limit at all."""
    assert f"OS_TEST_TIMEOUT={given}" in output(workspace, seconds)


def test_the_name_is_the_one_that_tempest_reads() -> None:
    found = importlib.util.find_spec("tempest")
    assert found is not None
    assert found.origin is not None
    source = Path(found.origin).with_name("test.py").read_text()
    assert "os.environ.get('OS_TEST_TIMEOUT'" in source
