# SPDX-License-Identifier: Apache-2.0
"""The installer, as a node runs it."""

import fcntl
import io
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from bsdgate.harness.nodes.bootstrap import bootstrap, installer

SITE = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
NAME = "0123-4567"


def archive(**modules: str) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as made:
        for name, text in modules.items():
            member = tarfile.TarInfo(f"{SITE}/{name}.py")
            member.size = len(text)
            made.addfile(member, io.BytesIO(text.encode()))
    return target.getvalue()


def install(
    folder: Path, packed: bytes, count: int = 1, *modules: str
) -> subprocess.CompletedProcess[bytes]:
    program = Path(installer.__file__).read_bytes()
    argv = [sys.executable, "-I", "-c", bootstrap._LOADER, str(len(program)), str(folder), NAME]
    argv += [str(count), *(modules or ("json",))]
    return subprocess.run(argv, input=program + packed, capture_output=True, check=False)


def left(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def test_the_environment_imports_its_modules(tmp_path: Path) -> None:
    done = install(tmp_path / "node", archive(own="VALUE = 7"), 1, "own")
    assert done.returncode == 0, done.stderr
    python = tmp_path / "node" / NAME / "bin" / "python"
    argv = [str(python), "-c", "import own; print(own.VALUE)"]
    found = subprocess.run(argv, check=True, capture_output=True)
    assert found.stdout == b"7\n"
    assert left(tmp_path / "node") == [NAME]
    assert (tmp_path / "node").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "node" / NAME / ".bsdgate").is_file()
    assert not list((tmp_path / "node" / NAME / "bin").glob("*ctivate*"))


@pytest.mark.parametrize("end", [0.0, 0.5])
def test_an_interrupted_input_leaves_nothing(tmp_path: Path, end: float) -> None:
    packed = archive(one="1", two="2" * 100_000)
    done = install(tmp_path, packed[: int(len(packed) * end)], 2)
    assert done.returncode == installer.INCOMPLETE
    assert b"the input ended after" in done.stderr
    assert left(tmp_path) == []


def test_too_few_files_are_refused(tmp_path: Path) -> None:
    done = install(tmp_path, archive(own="1"), 2)
    assert (done.returncode, left(tmp_path)) == (installer.INCOMPLETE, [])
    assert b"after 1 of 2 files" in done.stderr


def test_a_module_that_cannot_be_imported_is_named(tmp_path: Path) -> None:
    done = install(tmp_path, archive(own="1"), 1, "own", "not_there")
    assert (done.returncode, left(tmp_path)) == (installer.BROKEN, [])
    assert b"No module named 'not_there'" in done.stderr


def test_a_full_file_system_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "one.py")

    monkeypatch.setattr(installer, "fill", full)
    assert installer.main([str(tmp_path), NAME, "1", "json"]) == installer.NO_ROOM
    assert left(tmp_path) == []


def test_the_environment_of_another_installer_stays(tmp_path: Path) -> None:
    assert install(tmp_path, archive(own="VALUE = 1")).returncode == 0
    before = (tmp_path / NAME).stat().st_ino
    assert install(tmp_path, archive(own="VALUE = 2")).returncode == 0
    assert (tmp_path / NAME).stat().st_ino == before
    assert left(tmp_path) == [NAME]


def test_only_abandoned_drafts_are_removed(tmp_path: Path) -> None:
    for name in ("killed", "used", "begun", "old"):
        (tmp_path / f".new-{name}").mkdir()
    for name in ("killed", "used"):
        (tmp_path / f".new-{name}" / "lock").touch()
    hours_ago = time.time() - 7200
    os.utime(tmp_path / ".new-old", (hours_ago, hours_ago))
    with (tmp_path / ".new-used" / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        installer.remove_drafts(tmp_path)
    assert left(tmp_path) == [".new-begun", ".new-used"]


def test_environments_that_were_not_used_are_removed_except_the_last_ones(tmp_path: Path) -> None:
    for number in range(6):
        folder = tmp_path / str(number)
        folder.mkdir()
        if number:
            (folder / ".bsdgate").touch()
        days_ago = time.time() - 24 * 3600 * (20 - number)
        os.utime(folder, (days_ago, days_ago))
    (tmp_path / "1" / "new").touch()
    installer.prune(tmp_path, "2")
    # 0 is not bsdgate's, 1 was used today, 2 is the new one, and 4 and 5 are the last ones.
    assert left(tmp_path) == ["0", "1", "2", "4", "5"]
