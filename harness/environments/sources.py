# SPDX-License-Identifier: Apache-2.0
"""The source files of a project's tree: their names, their digest, and a copy of them.

The tree is not trusted. Only regular files and symbolic links are read, links are never followed,
and nothing outside the tree is read or written.
"""

import contextlib
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from io import BufferedReader
from pathlib import Path
from typing import Final

from bsdgate.harness.environments import git
from bsdgate.harness.errors import UsageError

BYTES_BOUND: Final = 1 << 30
"""The maximum size of a tree in bytes: a larger one contains more than source."""

# Made by tools in a checkout, and never part of a release.
_NOT_SOURCE: Final = {".git", ".tox", ".venv", ".stestr", "__pycache__", "build"}
_KINDS: Final = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def find(root: Path, log: Path) -> tuple[Path, ...]:
    """Return the source files, relative to ``root`` and sorted.

    These are the files that git tracks or would add; without git, all but the output of tools.

    :raises UsageError: a source is no file or link, or cannot be read, or the tree is too large.
    """
    with _readable():
        names = _names_in_git(root, log) if (root / ".git").exists() else _names_in_folder(root)
        found = {name: size for name in names if (size := _size(root, name)) is not None}
    if sum(found.values()) > BYTES_BOUND:
        largest = max(found, key=found.__getitem__)
        raise UsageError(
            f"{root} contains more than {BYTES_BOUND >> 20} MiB; its largest file is {largest}",
            "give a directory with only the project's source, or a git checkout of it",
        )
    return tuple(sorted(found))


def digest(root: Path, names: Sequence[Path]) -> str:
    """Return the SHA-256 of the files' names and contents, and of the links' targets.

    :raises UsageError: a file cannot be read.
    """
    whole = hashlib.sha256()
    for name in names:
        with _readable():
            whole.update(b"%s\0%s\0" % (os.fsencode(name), _content_digest(root / name)))
    return whole.hexdigest()


def copy(root: Path, names: Sequence[Path], into: Path) -> None:
    """Copy the files into the directory ``into``; a link stays a link.

    :raises UsageError: a file cannot be read.
    """
    for name in names:
        target = into / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with _readable():
            if (root / name).is_symlink():
                target.symlink_to((root / name).readlink())
                continue
            with _open(root / name) as source, target.open("xb") as made:
                shutil.copyfileobj(source, made)
                os.fchmod(made.fileno(), stat.S_IMODE(os.fstat(source.fileno()).st_mode))


def _names_in_git(root: Path, log: Path) -> Iterator[Path]:
    wanted = ("--cached", "--others", "--exclude-standard")
    listing = git.read(root, "ls-files", "-z", *wanted, log=log)
    yield from (Path(os.fsdecode(name)) for name in set(listing.split(b"\0")) if name)


def _names_in_folder(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root, onerror=_refuse):
        here = Path(folder).relative_to(root)
        folders[:] = [name for name in folders if name not in _NOT_SOURCE]
        # os.walk lists a link to a directory as a directory, and does not enter it.
        links = [name for name in folders if (root / here / name).is_symlink()]
        yield from (here / name for name in (*files, *links) if not name.endswith(".pyc"))


def _refuse(error: OSError) -> None:
    raise error


def _size(root: Path, name: Path) -> int | None:
    """Return the size of a file or link; None for a name that is not part of the source.

    That is a removed file that git still lists, or the directory of a submodule.
    """
    if name.is_absolute() or ".." in name.parts:
        raise UsageError(f"git lists {name}, which is not inside {root}", "give another checkout")
    if any((root / parent).is_symlink() for parent in name.parents if parent.parts):
        return None
    try:
        found = (root / name).lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISDIR(found.st_mode):
        return None
    if not stat.S_ISLNK(found.st_mode):
        _check_regular(root / name, found)
    return found.st_size


def _content_digest(path: Path) -> bytes:
    if path.is_symlink():
        return hashlib.sha256(b"link:" + os.fsencode(path.readlink())).digest()
    with _open(path) as file:
        return hashlib.file_digest(file, "sha256").digest()


@contextlib.contextmanager
def _open(path: Path) -> Iterator[BufferedReader]:
    # The file may be a FIFO or a link by now: do not wait for it, and do not follow it.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        _check_regular(path, os.fstat(file.fileno()))
        yield file


def _check_regular(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "not a regular file")
        raise UsageError(
            f"{path} is {kind}; source consists of regular files and symbolic links",
            "remove it, or give another checkout",
        )


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"cannot read {error.filename}: {error.strerror}",
            "get the permission to read it, or give another checkout",
        ) from error
