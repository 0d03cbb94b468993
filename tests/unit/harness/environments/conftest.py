# SPDX-License-Identifier: Apache-2.0
"""What the tests of changes and of their sources share."""

from pathlib import Path

import pytest


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return the file for the output of git, in a directory of its own."""
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs" / "git.log"
