# SPDX-License-Identifier: Apache-2.0
"""Files that are private to the user, whole or as they were before, and locked for one process."""

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bsdgate.harness.errors import InfrastructureError, UsageError

ELSEWHERE: Final = "choose another place with BSDGATE_STATE_DIR or BSDGATE_CACHE_DIR"
"""How what bsdgate keeps comes to be kept elsewhere."""


def open_private(path: Path, flags: int) -> int:
    """Open a file for writing that is the user's alone, and return its descriptor."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | flags, 0o600)


def write_all(fd: int, data: bytes) -> None:
    """Write all of ``data``, however little the system takes at a time."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def write_atomically(path: Path, content: bytes) -> None:
    """Write a private file so that it is there in whole, or as it was before."""
    made = path.with_name(f"{path.name}.new")
    with explained(path):
        fd = open_private(made, os.O_TRUNC)
        try:
            write_all(fd, content)
            os.fsync(fd)
        finally:
            os.close(fd)
        made.replace(path)


def copy_tree(source: Path, target: Path) -> None:
    """Copy a folder into another, which may be there; links that lead nowhere are left out.

    :raises InfrastructureError: some of it could not be copied; the rest is.
    """
    with explained(target):
        try:
            shutil.copytree(source, target, dirs_exist_ok=True, ignore_dangling_symlinks=True)
        except shutil.Error as error:
            (name, _, why), *_ = error.args[0]
            raise InfrastructureError(f"cannot copy {name}: {why}", ELSEWHERE) from error


def take_lock(path: Path, *, wait: bool = False) -> int | None:
    """Lock ``path`` for this process and return the descriptor that holds it.

    The lock lasts until the descriptor is closed, by whatever ends the process. The file holds the
    process id. Without ``wait``, None when another process has it.
    """
    # Only flock, here as everywhere: on FreeBSD it and lockf exclude one another.
    fd = open_private(path, 0)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(fd)
        return None
    except BaseException:
        os.close(fd)
        raise
    os.ftruncate(fd, 0)
    write_all(fd, str(os.getpid()).encode())
    return fd


@contextlib.contextmanager
def explained(path: Path, elsewhere: str = ELSEWHERE) -> Iterator[None]:
    """Turn what the system says about ``path`` into an error that names the next step."""
    try:
        yield
    except OSError as error:
        where = error.filename or path
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise InfrastructureError(
                f"no room to write {where}: {error.strerror}", f"make room, or {elsewhere}"
            ) from error
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR}:
            raise UsageError(
                f"may not write {where}: {error.strerror}",
                f"give yourself the right, or {elsewhere}",
            ) from error
        raise InfrastructureError(f"cannot write {where}: {error.strerror}", elsewhere) from error
