# SPDX-License-Identifier: Apache-2.0
"""The permissions of the state directory and the cache directory."""

import os
import stat
from pathlib import Path

import pytest

from bsdgate.harness import paths
from bsdgate.harness.history import open_store

XDG = {"BSDGATE_STATE_DIR": "XDG_STATE_HOME", "BSDGATE_CACHE_DIR": "XDG_CACHE_HOME"}


@pytest.fixture(autouse=True)
def default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for ours, theirs in XDG.items():
        monkeypatch.delenv(ours, raising=False)
        monkeypatch.setenv(theirs, str(tmp_path / theirs.lower()))


def test_a_directory_that_the_user_has_chosen_is_not_ours(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert paths.by_default() == [paths.state(), paths.cache()]
    monkeypatch.setenv("BSDGATE_STATE_DIR", str(tmp_path))
    assert paths.by_default() == [paths.cache()]
    monkeypatch.setenv("BSDGATE_CACHE_DIR", str(tmp_path))
    assert paths.by_default() == []


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o077], ids=oct)
def test_the_history_is_private_with_any_umask(umask: int) -> None:
    before = os.umask(umask)
    try:
        open_store(None).close()
    finally:
        os.umask(before)
    made = {each.name: stat.S_IMODE(each.stat().st_mode) for each in paths.state().iterdir()}
    assert set(made.values()) == {0o600}
    for path in (paths.state(), paths.state().parent):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
