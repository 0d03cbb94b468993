# SPDX-License-Identifier: Apache-2.0
"""Makes the Python environment of a node, on the node. It needs only the standard library.

    python -c LOADER LENGTH FOLDER NAME COUNT MODULE...

The loader executes the text of this module, the first LENGTH bytes of the standard input. The rest
is a compressed archive with COUNT files. The new environment is FOLDER/NAME, and can import
MODULE....

The environment is made under a temporary name, and renamed when it is complete. A directory with
such a name that no process has locked was left by an interrupted installer, and is removed.
"""

import contextlib
import errno
import fcntl
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import venv
from pathlib import Path

NO_ROOM = 28
"""The exit status if the file system is full."""
INCOMPLETE = 29
"""The exit status if the input ended too early."""
BROKEN = 30
"""The exit status if the environment cannot import a module."""

_DRAFT = ".new-"
_LOCK = "lock"
# As in bsdgate.harness.folders, which this module cannot import.
_MARKER = ".bsdgate"
_KEPT = 3
_UNUSED_SECONDS = 7 * 24 * 3600.0
_ABANDONED_SECONDS = 3600.0
_COMMAND = """\
#!/bin/sh
exec "$(dirname "$(realpath "$0")")/python" -P -m bsdgate.harness "$@"
"""


class Failure(Exception):
    """The environment cannot be made; the exit status, and a text for the user."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def install(folder: Path, name: str, count: int, modules: list[str]) -> None:
    """Make the environment, unless another installer has made it meanwhile."""
    os.umask(0o077)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    remove_drafts(folder)
    draft = Path(tempfile.mkdtemp(prefix=_DRAFT, dir=folder))
    try:
        lock = os.open(draft / _LOCK, os.O_CREAT | os.O_RDWR)
        fcntl.flock(lock, fcntl.LOCK_EX)
        (draft / _MARKER).write_text("bsdgate made this directory and removes it.\n")
        fill(draft, count)
        check(draft, modules)
        (draft / _LOCK).unlink()
        with contextlib.suppress(FileExistsError):
            move(draft, folder / name)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    prune(folder, name)


def fill(environment: Path, count: int) -> None:
    """Make a virtual environment, and unpack the archive into it."""
    venv.create(environment, system_site_packages=True, symlinks=True)
    for script in environment.glob("bin/*ctivate*"):
        # They contain the temporary name.
        script.unlink()
    unpacked = 0
    try:
        with tarfile.open(fileobj=sys.stdin.buffer, mode="r|gz") as archive:
            for member in archive:
                if not member.isreg():
                    raise Failure(INCOMPLETE, f"the archive has {member.name}, which is no file")
                archive.extract(member, environment, filter="data")
                unpacked += 1
    except (tarfile.ReadError, EOFError) as error:
        raise Failure(INCOMPLETE, f"the input ended after {unpacked} files: {error}") from error
    if unpacked != count:
        raise Failure(INCOMPLETE, f"the input ended after {unpacked} of {count} files")
    command = environment / "bin" / "bsdgate"
    command.write_text(_COMMAND)
    command.chmod(0o700)


def check(environment: Path, modules: list[str]) -> None:
    """Import the modules in the new environment."""
    argv = [str(environment / "bin" / "python"), "-P", "-c", f"import {', '.join(modules)}"]
    done = subprocess.run(argv, cwd="/", stderr=subprocess.PIPE, check=False)
    if done.returncode:
        raise Failure(BROKEN, done.stderr.decode(errors="replace").rstrip())


def move(draft: Path, target: Path) -> None:
    """Rename a directory; FileExistsError if the target exists."""
    try:
        draft.rename(target)
    except OSError as error:
        if error.errno == errno.ENOTEMPTY:
            raise FileExistsError(error.errno, error.strerror, str(target)) from error
        raise


def remove_drafts(folder: Path) -> None:
    """Remove what interrupted installers left."""
    for draft in folder.glob(f"{_DRAFT}*"):
        if is_abandoned(draft):
            shutil.rmtree(draft, ignore_errors=True)


def is_abandoned(draft: Path) -> bool:
    """Return whether no process makes this environment any more."""
    try:
        lock = os.open(draft / _LOCK, os.O_RDWR)
    except FileNotFoundError:
        # Its installer may be about to make the lock.
        with contextlib.suppress(FileNotFoundError):
            return time.time() - draft.stat().st_mtime > _ABANDONED_SECONDS
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True


def prune(folder: Path, name: str) -> None:
    """Remove environments that were not used for a week, except those that were used last."""
    found = [each for each in folder.iterdir() if (each / _MARKER).is_file()]
    found.sort(key=lambda each: each.stat().st_mtime, reverse=True)
    for each in found[_KEPT:]:
        if each.name != name and time.time() - each.stat().st_mtime > _UNUSED_SECONDS:
            shutil.rmtree(each, ignore_errors=True)


def main(arguments: list[str]) -> int:
    """Make the environment; return the exit status."""
    folder, name, count, *modules = arguments
    try:
        install(Path(folder), name, int(count), modules)
    except Failure as failure:
        sys.stderr.write(f"{failure}\n")
        return failure.status
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        sys.stderr.write(f"no room to write {error.filename or folder}: {error.strerror}\n")
        return NO_ROOM
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[2:]))
