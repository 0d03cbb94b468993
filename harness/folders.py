# SPDX-License-Identifier: Apache-2.0
"""Folders that bsdgate makes, for the user alone, and removes again: those and no others.

A folder that is removed as a whole some day holds the file MARKER, put there before anything else.
What has no marker is not removed, whatever its name.
"""

import contextlib
import os
import shutil
import stat
from pathlib import Path
from typing import Final

from bsdgate.harness.errors import UsageError

MARKER: Final = ".bsdgate"
"""The file that says that bsdgate has made a folder, and may remove it."""

_TEXT: Final = b"bsdgate made this folder and removes it, with all that is in it.\n"


def make(path: Path) -> None:
    """Make a folder that only its user can enter (mode 0700), whatever the umask.

    So are its parents that are missing. A folder that is there already gets that mode too; its
    parents are left as they are.

    :raises UsageError: the folder is there and belongs to another user.
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
            "choose another place with BSDGATE_STATE_DIR or BSDGATE_CACHE_DIR",
        )
    if stat.S_IMODE(found.st_mode) != stat.S_IRWXU:
        path.chmod(stat.S_IRWXU)


def tighten(path: Path) -> None:
    """Make a folder the user's alone, if it is there and the user's: it was made by the umask."""
    if path.is_dir() and path.stat().st_uid == os.geteuid():
        path.chmod(stat.S_IRWXU)


def make_marked(path: Path) -> None:
    """Make a new folder that ``remove_tree`` will remove (FileExistsError: it is there)."""
    make(path.parent)
    path.mkdir(mode=0o700)
    mark(path)


def mark(path: Path) -> None:
    """Mark a folder as one that bsdgate has made; once more is harmless."""
    path.chmod(stat.S_IRWXU)
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    fd = os.open(path / MARKER, flags, 0o600)
    try:
        os.write(fd, _TEXT)
    finally:
        os.close(fd)


def is_marked(path: Path) -> bool:
    """Whether bsdgate has made the folder: no link to one, and with the marker in it."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode) and stat.S_ISREG((path / MARKER).lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def remove_tree(path: Path, *, inside: Path) -> None:
    """Remove a folder that bsdgate has made inside the folder ``inside``; none there is no error.

    Either of the two is marked. An empty folder needs no marker: nothing is lost with it.

    :raises UsageError: it is not one of ours, so that nothing was removed.
    """
    if not os.path.lexists(path):
        return
    _prove(path, inside)
    # Another process may be removing some of it as well, such as its own temporary files.
    while os.path.lexists(path):
        with contextlib.suppress(FileNotFoundError):
            _empty(path)
            (path / MARKER).unlink(missing_ok=True)
            path.rmdir()


def _empty(path: Path) -> None:
    """Remove all but the marker, so that what a killed process has left can still be removed."""
    for each in path.iterdir():
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each)
        elif each.name != MARKER:
            each.unlink(missing_ok=True)


def _prove(path: Path, inside: Path) -> None:
    """See that ``path`` is a folder of ours in ``inside``; links on the way do not hide another."""
    hint = f"look at it, and if it may go remove it by hand: {path}"
    if path.is_symlink() or not path.is_dir():
        raise UsageError(f"{path} is not a folder, so bsdgate did not make it", hint)
    if path.name in {"", ".."} or not path.parent.resolve().is_relative_to(inside.resolve()):
        raise UsageError(f"{path} is not in {inside}, where bsdgate keeps its own", hint)
    if not (is_marked(path) or is_marked(inside) or not any(path.iterdir())):
        raise UsageError(f"{path} has no file {MARKER}, so bsdgate did not make it", hint)
