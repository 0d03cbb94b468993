# SPDX-License-Identifier: Apache-2.0
"""bsdgate.harness.files."""

import os
from pathlib import Path

import pytest

from bsdgate.harness import files
from bsdgate.harness.errors import InfrastructureError, UsageError


def test_all_files_that_can_be_copied_are_copied(tmp_path: Path) -> None:
    source, target = tmp_path / "logs", tmp_path / "kept"
    source.mkdir()
    (source / "nova.log").write_text("nova")
    (source / "gone.log").symlink_to(tmp_path / "nowhere")
    files.copy_tree(source, target)
    assert [path.name for path in target.iterdir()] == ["nova.log"]
    os.mkfifo(source / "pipe.log")
    (source / "glance.log").write_text("glance")
    with pytest.raises(InfrastructureError, match=r"cannot copy .*logs/pipe\.log: .*named pipe"):
        files.copy_tree(source, target)
    assert (target / "glance.log").read_text() == "glance"


def test_a_missing_directory_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match=r"none: No such file"):
        files.copy_tree(tmp_path / "none", tmp_path / "kept")


def test_a_name_that_is_too_long_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="File name too long"):
        files.write_atomically(tmp_path / ("a" * 300), b"")
