# SPDX-License-Identifier: Apache-2.0
"""Directories are private, and only those that bsdgate has made are removed."""

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bsdgate.harness import folders
from bsdgate.harness.errors import UsageError


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[0o000, 0o002, 0o022, 0o077, 0o277], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_a_directory_and_its_missing_parents_are_private(tmp_path: Path, umask: int) -> None:
    tmp_path.chmod(0o755)
    folders.make(tmp_path / "a" / "b" / "c")
    assert [mode(tmp_path / name) for name in ("a", "a/b", "a/b/c")] == [0o700] * 3
    assert mode(tmp_path) == 0o755


def test_an_existing_directory_becomes_private_and_its_parents_stay(tmp_path: Path) -> None:
    there = tmp_path / "a" / "b"
    there.mkdir(parents=True)
    for path in (there, there.parent):
        path.chmod(0o777)
    folders.make(there)
    assert (mode(there), mode(there.parent)) == (0o700, 0o777)


def test_tighten_makes_a_directory_private_and_makes_no_directory(tmp_path: Path) -> None:
    tmp_path.chmod(0o775)
    folders.tighten(tmp_path)
    folders.tighten(tmp_path / "none")
    assert mode(tmp_path) == 0o700
    assert list(tmp_path.iterdir()) == []


def test_a_directory_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(UsageError, match=r"belongs to another user \(id \d+\)"):
        folders.make(tmp_path)


def test_a_marked_directory_is_new_and_private(tmp_path: Path, umask: int) -> None:
    folders.make_marked(tmp_path / "a" / "b")
    assert [each.name for each in (tmp_path / "a" / "b").iterdir()] == [folders.MARKER]
    assert mode(tmp_path / "a" / "b") == 0o700
    assert mode(tmp_path / "a" / "b" / folders.MARKER) & 0o077 == 0
    with pytest.raises(FileExistsError):
        folders.make_marked(tmp_path / "a" / "b")


# Removal ------------------------------------------------------------------------------------


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    """Return a directory of bsdgate with files in it."""
    path = tmp_path / "clouds" / "one"
    folders.make_marked(path)
    (path / "data").mkdir()
    (path / "data" / "file").write_text("data")
    (path / "file").write_text("file")
    return path


def test_a_directory_of_bsdgate_is_removed(ours: Path) -> None:
    (ours / "link").symlink_to(ours.parent)
    folders.remove_tree(ours, inside=ours.parent)
    assert list(ours.parent.iterdir()) == []
    folders.remove_tree(ours, inside=ours.parent)


def test_a_part_of_a_directory_of_bsdgate_is_removed(ours: Path) -> None:
    folders.remove_tree(ours / "data", inside=ours)
    assert sorted(each.name for each in ours.iterdir()) == [folders.MARKER, "file"]


def test_a_state_directory_may_be_reached_by_a_link(ours: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(ours.parent)
    folders.remove_tree(tmp_path / "link" / "one", inside=tmp_path / "link")
    assert not ours.exists()


def test_an_empty_directory_is_removed(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    folders.remove_tree(tmp_path / "empty", inside=tmp_path)
    assert not (tmp_path / "empty").exists()


def test_after_an_error_the_rest_can_be_removed_later(
    ours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", fail)
        with pytest.raises(PermissionError):
            folders.remove_tree(ours, inside=ours.parent)
    assert folders.is_marked(ours)
    folders.remove_tree(ours, inside=ours.parent)
    assert not ours.exists()


def everything(top: Path) -> list[Path]:
    return sorted(top.rglob("*"))


REFUSED = {
    "unmarked": ("theirs", "clouds", "has no file .bsdgate"),
    "a-link-to-ours": ("clouds/link", "clouds", "is not a directory"),
    "a-link-to-theirs": ("clouds/away", "clouds", "is not a directory"),
    "a-file": ("clouds/one/file", "clouds/one", "is not a directory"),
    "the-folder-itself": ("clouds/one", "clouds/one", "is not in"),
    "beside": ("clouds/one", "clouds/two", "is not in"),
    "above": ("clouds/one/..", "clouds/one", "is not in"),
    "through-a-link": ("clouds/one/out/one", "clouds/one", "is not in"),
    "an-unmarked-part": ("clouds/two/data", "clouds/two", "has no file .bsdgate"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_path_that_bsdgate_has_not_provably_made_stays(
    ours: Path, tmp_path: Path, case: str
) -> None:
    for name in ("theirs", "clouds/two", "clouds/two/data"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "precious").write_text("precious")
    (ours.parent / "link").symlink_to(ours)
    (ours.parent / "away").symlink_to(tmp_path / "theirs")
    (ours / "out").symlink_to(ours.parent)
    before = everything(tmp_path)
    path, inside, why = REFUSED[case]
    if case == "unmarked":
        inside = "."
    with pytest.raises(UsageError, match=why) as caught:
        folders.remove_tree(tmp_path / path, inside=tmp_path / inside)
    assert str(tmp_path / path) in str(caught.value)
    assert everything(tmp_path) == before


def test_a_marker_that_is_a_link_or_a_directory_is_ignored(ours: Path) -> None:
    marker = ours / folders.MARKER
    moved = marker.rename(ours.parent / "marker")
    marker.symlink_to(moved)
    assert not folders.is_marked(ours)
    marker.unlink()
    marker.mkdir()
    assert not folders.is_marked(ours)


@pytest.fixture(scope="module")
def top(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with files of the user and a directory for bsdgate."""
    top = tmp_path_factory.mktemp("top")
    for name in ("home", "state/runs/run", "state/clouds", "state/clouds-mine"):
        (top / name).mkdir(parents=True)
        (top / name / "precious").write_text("precious")
    return top


STEPS = st.sampled_from(["..", ".", "", "runs", "run", "home", "clouds", "clouds-mine", "state"])


@given(steps=st.lists(STEPS, max_size=6), absolute=st.booleans())
def test_no_path_leads_out_of_the_directory(top: Path, steps: list[str], absolute: bool) -> None:
    inside = top / "state" / "clouds"
    before = everything(top)
    path = Path(f"{top if absolute else inside}/{'/'.join(steps)}")
    try:
        folders.remove_tree(path, inside=inside)
    except UsageError:
        pass
    else:
        assert not os.path.lexists(path)
    assert everything(top) == before
