# SPDX-License-Identifier: Apache-2.0
"""Private files of the user, files replaced in one step, and lock files."""

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bsdgate.harness.errors import InfrastructureError, UsageError

ELSEWHERE: Final = "choose another directory with BSDGATE_STATE_DIR or BSDGATE_CACHE_DIR"
"""The next step in an error: change the state or cache directory."""

PID_MAX: Final = 2**31 - 1
"""The maximum process id of any system."""

_PID_DIGITS: Final = 10


def open_private(path: Path, flags: int) -> int:
    """Open a file for writing that only the user can read; return its descriptor."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | flags, 0o600)


def write_all(fd: int, data: bytes) -> None:
    """Write all of ``data``, in several calls if one does not write it all."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def append(path: Path, data: bytes) -> None:
    """Append to a private file.

    :raises InfrastructureError: the disk is full or broken.
    """
    with explain_errors(path):
        fd = open_private(path, os.O_APPEND)
        try:
            write_all(fd, data)
        finally:
            os.close(fd)


def write_atomically(path: Path, content: bytes, elsewhere: str = ELSEWHERE) -> None:
    """Write a private file in one step: a reader finds the old or the new content.

    With several writers, the content of the last one to finish stays. ``elsewhere`` is the next
    step in the error if the file cannot be written.
    """
    with explain_errors(path, elsewhere):
        try:
            _replace(path, content)
        except OSError as error:
            # The error must have the path of the file, not of the temporary file.
            raise OSError(error.errno, error.strerror, str(path)) from error


def _replace(path: Path, content: bytes) -> None:
    fd, made = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        try:
            write_all(fd, content)
            os.fsync(fd)
        finally:
            os.close(fd)
        Path(made).replace(path)
    except BaseException:
        Path(made).unlink(missing_ok=True)
        raise


def sync(folder: Path) -> None:
    """Sync a directory, so that a file that was renamed or removed stays so after a crash."""
    with explain_errors(folder):
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def copy_tree(source: Path, target: Path) -> None:
    """Copy a directory to another, which may exist; dangling links are left out.

    :raises InfrastructureError: a file could not be copied; the others are copied.
    """
    with explain_errors(target):
        try:
            shutil.copytree(source, target, dirs_exist_ok=True, ignore_dangling_symlinks=True)
        except shutil.Error as error:
            (name, _, why), *_ = error.args[0]
            raise InfrastructureError(f"cannot copy {name}: {why}", ELSEWHERE) from error


def take_lock(path: Path, *, wait: bool = False) -> int | None:
    """Lock ``path`` for this process and return the descriptor that holds the lock.

    The lock lasts until the descriptor and its inherited copies are closed, also by the end of a
    process. The file contains the process id. Without ``wait``, return None if
    the file is locked.
    """
    # bsdgate uses only flock: on FreeBSD flock and lockf exclude one another.
    fd = open_private(path, 0)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(fd)
        return None
    except BaseException:
        os.close(fd)
        raise
    name_holder(fd, os.getpid())
    return fd


def name_holder(lock: int, pid: int) -> None:
    """Write to a locked file the id of its holder, which may have inherited the descriptor."""
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(pid).encode(), 0)


def is_locked(path: Path) -> bool:
    """Return whether a process holds the lock ``path``; False if there is no such file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        # Shared, so that two callers do not take each other for the holder.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def holder(path: Path) -> int | None:
    """Return the process id in the lock file ``path``; None if the file contains no id."""
    try:
        with path.open("rb") as file:
            text = file.read(_PID_DIGITS + 1)
    except FileNotFoundError:
        return None
    return int(text) if text.isdigit() and 0 < int(text) <= PID_MAX else None


@contextlib.contextmanager
def exclusive(path: Path, seconds: float) -> Iterator[None]:
    """Exclude other processes while a block runs, by a lock file that is removed afterwards.

    :raises UsageError: another process has the lock, and still has it after ``seconds``.
    """
    fd = _take_within(path, seconds)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(fd)


def _take_within(path: Path, seconds: float) -> int:
    deadline = time.monotonic() + seconds
    # No system call waits for a lock for a limited time.
    while (fd := _take_if_current(path)) is None:
        if time.monotonic() > deadline:
            raise UsageError(
                f"process {holder(path) or 'unknown'} has held {path} for {seconds:g} s",
                "wait until the process has ended, or end it",
            )
        time.sleep(0.01)
    return fd


def _take_if_current(path: Path) -> int | None:
    """Lock the file that is at ``path``, not one that its last holder has removed since."""
    fd = take_lock(path)
    if fd is None:
        return None
    try:
        if os.path.samestat(os.fstat(fd), path.stat()):
            return fd
    except FileNotFoundError:
        pass
    os.close(fd)
    return None


@contextlib.contextmanager
def explain_errors(path: Path, elsewhere: str = ELSEWHERE) -> Iterator[None]:
    """Turn an OSError about ``path`` into an error that has the next step."""
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
                f"get the permission, or {elsewhere}",
            ) from error
        if error.errno == errno.ENAMETOOLONG:
            raise UsageError(f"cannot write {where}: {error.strerror}", elsewhere) from error
        raise InfrastructureError(f"cannot write {where}: {error.strerror}", elsewhere) from error
