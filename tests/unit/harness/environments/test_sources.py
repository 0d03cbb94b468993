# SPDX-License-Identifier: Apache-2.0
"""bsdgate.harness.environments.sources, with harmful trees."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from bsdgate.harness.environments import sources
from bsdgate.harness.errors import UsageError

pytestmark = pytest.mark.timeout(20)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "package").mkdir(parents=True)
    (root / "setup.py").write_text("")
    (root / "package" / "__init__.py").write_text("x = 1\n")
    return root


@pytest.fixture
def checkout(tree: Path) -> Path:
    git(tree, "init", "--quiet")
    git(tree, "add", "--all")
    return tree


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True)


def names(root: Path, log: Path) -> set[str]:
    return {str(name) for name in sources.find(root, log)}


@pytest.mark.parametrize("where", ["pipe", "package/pipe", "package/pipe.py"])
def test_a_fifo_is_refused_and_never_opened(tree: Path, log: Path, where: str) -> None:
    os.mkfifo(tree / where)
    with pytest.raises(UsageError, match=f"{tree / where} is a FIFO") as caught:
        sources.find(tree, log)
    assert "remove it" in str(caught.value)


def test_a_socket_is_refused(tree: Path, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s")
        with pytest.raises(UsageError, match=f"{tree}/s is a socket"):
            sources.find(tree, log)


def test_a_tracked_file_that_became_a_fifo_is_refused(checkout: Path, log: Path) -> None:
    (checkout / "setup.py").unlink()
    os.mkfifo(checkout / "setup.py")
    with pytest.raises(UsageError, match=r"setup\.py is a FIFO"):
        sources.find(checkout, log)


def test_a_file_that_becomes_a_fifo_after_it_was_listed_does_not_block(
    tree: Path, log: Path, tmp_path: Path
) -> None:
    found = sources.find(tree, log)
    (tree / "setup.py").unlink()
    os.mkfifo(tree / "setup.py")
    with pytest.raises(UsageError, match=r"setup\.py is a FIFO"):
        sources.digest(tree, found)
    with pytest.raises(UsageError, match=r"setup\.py is a FIFO"):
        sources.copy(tree, found, tmp_path / "copy")


@pytest.mark.parametrize("target", ["/dev/zero", "/dev/stdin", "../pipe", "absent", "package"])
def test_a_link_is_copied_as_a_link(tree: Path, log: Path, tmp_path: Path, target: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tree / "link").symlink_to(target)
    (tree / "tool").touch(mode=0o755)
    found = sources.find(tree, log)
    sources.copy(tree, found, tmp_path / "copy")
    assert (tmp_path / "copy" / "link").readlink() == Path(target)
    assert (tmp_path / "copy" / "tool").stat().st_mode & 0o777 == 0o755
    assert sources.digest(tree, found) == sources.digest(tmp_path / "copy", found)
    assert names(tree, log) == {"setup.py", "package/__init__.py", "link", "tool"}


def test_a_link_in_place_of_a_tracked_directory_is_not_followed(
    checkout: Path, log: Path, tmp_path: Path
) -> None:
    """git still lists package/__init__.py; through the link that would be another file."""
    outside = tmp_path / "outside"
    (checkout / "package").rename(outside)
    (checkout / "package").symlink_to("../outside")
    content = (outside / "__init__.py").stat()
    found = sources.find(checkout, log)
    assert set(map(str, found)) == {"setup.py", "package"}
    sources.copy(checkout, found, tmp_path / "copy")
    assert (tmp_path / "copy" / "package").is_symlink()
    assert (outside / "__init__.py").stat() == content


def test_a_path_of_git_outside_of_the_tree_is_refused(
    checkout: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git_read = "bsdgate.harness.environments.git.read"
    for name in (b"../secret", b"/etc/passwd", b"package/../../secret"):
        monkeypatch.setattr(git_read, lambda *_, name=name, **__: name + b"\0")
        with pytest.raises(UsageError, match="is not inside"):
            sources.find(checkout, log)


def test_a_tree_that_is_too_large_is_refused(tree: Path, log: Path) -> None:
    with (tree / "package" / "disk.img").open("wb") as sparse:
        sparse.truncate(sources.BYTES_BOUND - len("x = 1\n"))
    assert "package/disk.img" in names(tree, log)
    (tree / "setup.py").write_text("x")
    with pytest.raises(UsageError, match=r"1024 MiB; its largest file is package/disk\.img"):
        sources.find(tree, log)


def test_a_file_without_read_permission_is_reported(
    tree: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = sources.find(tree, log)

    def refuse(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied", str(tree / "setup.py"))

    # Root can read every file, so the system's error is simulated.
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(UsageError, match=r"cannot read .*/setup\.py: Permission denied"):
        sources.digest(tree, found)
    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UsageError, match=r"cannot read .*/setup\.py: Permission denied"):
        sources.find(tree, log)
