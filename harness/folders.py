# SPDX-License-Identifier: Apache-2.0
"""Private directories that bsdgate makes and removes again; it removes no other directories.

A directory that will be removed as a whole contains the file MARKER, which is made before any other
file. A directory without the marker is not removed, whatever its name.
"""

import contextlib
import os
import shutil
import stat
from pathlib import Path
from typing import Final

from bsdgate.harness.errors import UsageError

MARKER: Final = ".bsdgate"
"""The file that marks a directory as made by bsdgate, which may remove it."""

_TEXT: Final = b"bsdgate made this directory and removes it, with all that is in it.\n"


def make(path: Path) -> None:
    """Make a directory with mode 0700, whatever the umask.

    Missing parents are made in the same way. A directory that exists gets that mode too; its
    parents are not changed.

    :raises UsageError: the directory exists and belongs to another user.
    """
    for parent in reversed(path.parents):
        if not parent.is_dir():
            _make_one(parent)
    _make_one(path)


def _make_one(path: Path) -> None:
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        if not path.is_dir():
            raise NotADirectoryError(20, "Not a directory", str(path)) from None
    found = path.stat()
    if found.st_uid != os.geteuid():
        raise UsageError(
            f"{path} belongs to another user (id {found.st_uid})",
            "choose another directory with BSDGATE_STATE_DIR or BSDGATE_CACHE_DIR",
        )
    if stat.S_IMODE(found.st_mode) != stat.S_IRWXU:
        path.chmod(stat.S_IRWXU)


def tighten(*paths: Path) -> None:
    """Set mode 0700 for each directory that exists and belongs to the user."""
    for path in paths:
        if path.is_dir() and path.stat().st_uid == os.geteuid():
            path.chmod(stat.S_IRWXU)


def make_marked(path: Path) -> None:
    """Make a new directory that ``remove_tree`` will remove.

    :raises FileExistsError: it exists already.
    """
    make(path.parent)
    path.mkdir(mode=0o700)
    mark(path)


def mark(path: Path) -> None:
    """Mark a directory as made by bsdgate; to call it again is harmless."""
    path.chmod(stat.S_IRWXU)
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    fd = os.open(path / MARKER, flags, 0o600)
    try:
        os.write(fd, _TEXT)
    finally:
        os.close(fd)


def is_marked(path: Path) -> bool:
    """Return whether bsdgate has made the directory: it is not a link, and contains the marker."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode) and stat.S_ISREG((path / MARKER).lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def remove_tree(path: Path, *, inside: Path) -> None:
    """Remove a directory, if it exists, that bsdgate has made inside the directory ``inside``.

    One of the two must have the marker. An empty directory needs none: no data is lost with it.

    :raises UsageError: bsdgate has not made the directory; nothing was removed.
    """
    if not os.path.lexists(path):
        return
    _check_removable(path, inside)
    # Another process may remove files in it at the same time, such as its own temporary files.
    while os.path.lexists(path):
        with contextlib.suppress(FileNotFoundError):
            _empty(path)
            (path / MARKER).unlink(missing_ok=True)
            path.rmdir()


def _empty(path: Path) -> None:
    """Remove all but the marker: if the process is killed, the rest can still be removed."""
    for each in path.iterdir():
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each)
        elif each.name != MARKER:
            each.unlink(missing_ok=True)


def _check_removable(path: Path, inside: Path) -> None:
    """Check that ``path``, with all links resolved, is a directory of bsdgate in ``inside``."""
    hint = f"if it is not needed, remove it by hand: {path}"
    if path.is_symlink() or not path.is_dir():
        raise UsageError(f"{path} is not a directory, so bsdgate did not make it", hint)
    if path.name in {"", ".."} or not path.parent.resolve().is_relative_to(inside.resolve()):
        raise UsageError(f"{path} is not in {inside}, the directory of bsdgate", hint)
    if not (is_marked(path) or is_marked(inside) or not any(path.iterdir())):
        raise UsageError(f"{path} has no file {MARKER}, so bsdgate did not make it", hint)
