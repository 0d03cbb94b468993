# SPDX-License-Identifier: Apache-2.0
"""Directories as archives: the files that are packed, and those that are refused."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from bsdgate.harness.errors import InfrastructureError
from bsdgate.harness.nodes import archive


def packed(folder: Path, names: list[Path] | None = None) -> io.BytesIO:
    target = io.BytesIO()
    archive.pack(folder, target, names)
    target.seek(0)
    return target


def names_in(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def archived(*members: tarfile.TarInfo) -> io.BytesIO:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as made:
        for member in members:
            made.addfile(member, io.BytesIO(bytes(member.size)))
    target.seek(0)
    return target


def member(
    name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0
) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.size = kind, link, size
    return made


def test_only_regular_files_are_packed(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "a file").write_bytes(b"\x00content")
    (folder / "secret").symlink_to("/etc/passwd")
    os.mkfifo(folder / "fifo")
    archive.unpack(packed(folder), tmp_path / "made")
    found = [each for each in (tmp_path / "made").rglob("*") if not each.is_dir()]
    assert found == [tmp_path / "made" / "inner" / "a file"]
    assert found[0].read_bytes() == b"\x00content"


def test_named_files_and_links_are_packed(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    for name in ("run", "other"):
        (folder / name).write_text(name)
    (folder / "run").chmod(0o755)
    (folder / "link").symlink_to("../elsewhere")
    archive.unpack(packed(folder, [Path("run"), Path("link")]), tmp_path / "made", links=True)
    assert names_in(tmp_path / "made") == ["link", "run"]
    assert os.access(tmp_path / "made" / "run", os.X_OK)
    assert (tmp_path / "made" / "link").readlink() == Path("../elsewhere")


def test_files_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    for text in ("first and longer", "second"):
        (tmp_path / "logs" / "log").write_text(text)
        archive.unpack(packed(tmp_path / "logs"), tmp_path / "made")
        assert (tmp_path / "made" / "log").read_text() == text


def test_a_missing_directory_is_an_empty_archive(tmp_path: Path) -> None:
    archive.unpack(packed(tmp_path / "absent"), tmp_path / "made")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "bad",
    [
        member("/tmp/absolute"),
        member("../outside"),
        member("inner/../../outside"),
        member("link", tarfile.SYMTYPE, "/etc"),
        member("hard", tarfile.LNKTYPE, "good"),
        member("fifo", tarfile.FIFOTYPE),
        member("device", tarfile.CHRTYPE),
        member("folder", tarfile.DIRTYPE),
    ],
    ids=lambda each: each.name,
)
def test_a_path_outside_and_a_special_file_are_refused(
    tmp_path: Path, bad: tarfile.TarInfo
) -> None:
    with pytest.raises(InfrastructureError, match="which is not a file"):
        archive.unpack(archived(member("good"), bad), tmp_path / "made")
    assert names_in(tmp_path) == ["made"]
    assert names_in(tmp_path / "made") == ["good"]


def test_a_file_behind_a_link_is_refused(tmp_path: Path) -> None:
    link = member("link", tarfile.SYMTYPE, str(tmp_path))
    with pytest.raises(InfrastructureError, match="below a link"):
        archive.unpack(archived(link, member("link/file")), tmp_path / "made", links=True)
    assert names_in(tmp_path) == ["made"]


def test_a_link_in_the_target_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "log").symlink_to(tmp_path / "other")
    with pytest.raises(OSError, match="symbolic links|Too many|link"):
        archive.unpack(archived(member("log")), tmp_path / "made")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("content", [b"no archive at all" * 100, b""], ids=["noise", "empty"])
def test_other_content_is_a_damaged_archive(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InfrastructureError, match="damaged"):
        archive.unpack(io.BytesIO(content), tmp_path / "made")


def test_an_incomplete_archive_is_damaged(tmp_path: Path) -> None:
    whole = archived(member("log", size=100_000)).getvalue()
    with pytest.raises(InfrastructureError, match="damaged"):
        archive.unpack(io.BytesIO(whole[:50_000]), tmp_path / "made")
