# SPDX-License-Identifier: Apache-2.0
"""Fixtures that tests of several commands use."""

from pathlib import Path

import pytest
from unit.harness.commands.calls import Call, caller


@pytest.fixture
def zuul(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    """Return a function that calls ``bsdgate zuul`` with a state directory of the test."""
    monkeypatch.setenv("BSDGATE_STATE_DIR", str(tmp_path / "state"))
    return caller("zuul", monkeypatch, capsys)
