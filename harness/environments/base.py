# SPDX-License-Identifier: Apache-2.0
"""The base: the running environment, which every run uses and no change under test may alter.

A file that a change leaves in the base would run in every later run, and in the cloud without the
change by which bsdgate finds out if the change causes a failure. So the files are listed before the
change's code runs, and compared afterwards. The listing has no file contents, so it takes a second
and not a minute: no program can set the change time (ctime). If only that time differs, the
installer's digest decides.
"""

import base64
import contextlib
import csv
import functools
import hashlib
import importlib.util
import os
import re
import site
import stat
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from bsdgate.harness import process
from bsdgate.harness.errors import InfrastructureError

_COMPILE_TIMEOUT: Final = 300.0
"""The maximum number of seconds to compile files again, on a node of usual speed."""
_FILES_SHOWN: Final = 5
# Parts of the standard library's directory that a virtual environment does not use.
_UNUSED: Final = {"site-packages", "dist-packages", "test"}
# Python first writes byte code to a file with such a name, and never imports that file.
_BEING_WRITTEN: Final = re.compile(r"\.pyc\.\d+$")

FileState = tuple[int, int, int, int]
"""Mode, size, modification time and inode."""


@dataclass(frozen=True)
class Listing:
    """The base's files at one time: by path, the entry and the change time."""

    files: dict[str, tuple[FileState, int]]


def roots() -> list[Path]:
    """Return the directories and files that contain the Python code of the base."""
    package = Path(str(resources.files("bsdgate")))
    standard = {Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")}
    found = [
        *map(Path, site.getsitepackages()),
        *(each for folder in standard for each in folder.iterdir() if each.name not in _UNUSED),
        *(package, *package.iterdir()),
        *(Path(sysconfig.get_path("scripts")), Path(sys.prefix, "pyvenv.cfg")),
    ]
    whole = {each.resolve() for each in found if each.exists()}
    return sorted(each for each in whole if not set(each.parents) & whole)


def take() -> Listing:
    """Return a listing of the base's files as they are now."""
    files: dict[str, tuple[FileState, int]] = {}
    for root in roots():
        found = scan(str(root)) if root.is_dir() else [(str(root), _describe(root.lstat()))]
        files.update(found)
    return Listing(files)


def check_unaltered(before: Listing, log: Path, factor: float = 1.0) -> None:
    """Check that the base was not altered; recompile all byte code that was written since.

    A change's processes write byte code of each module that they import, as Python does: new files,
    and replacements of files older than their sources. Only byte code that is compiled here from
    the sources stays. The change cannot write into the directories of another user: byte code there
    stays too. ``log`` receives the compiler's output; ``factor`` multiplies the time limit.

    :raises InfrastructureError: a file was added, removed or altered; the error lists the first.
    """
    after = take()
    differing = {
        path
        for path in before.files.keys() | after.files.keys()
        if before.files.get(path) != after.files.get(path)
    }
    changed = {each for each in differing if not _is_as_installed(each, before, after, differing)}
    written = {each for each in changed if _source(each)}
    altered = sorted(changed - written)
    if altered:
        raise InfrastructureError(
            f"{len(altered)} files of {sys.prefix} were altered while the change's code ran: "
            f"{', '.join(altered[:_FILES_SHOWN])}",
            "later runs in it cannot be trusted: make the environment again (`tox -r`), and find "
            "out which program wrote these files",
        )
    ours = sorted(each for each in written if _is_writable(Path(each).parent))
    _compile_again(ours, log, _COMPILE_TIMEOUT * factor)


def scan(folder: str) -> Iterator[tuple[str, tuple[FileState, int]]]:
    """Yield path and entry of each file below a directory; a link is a file, and not followed.

    A directory that the user may not read has no files: its owner may be another user, who ran
    services with a strict umask. If the permissions change later, the listings differ.
    """
    with contextlib.suppress(PermissionError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from scan(entry.path)
            elif not _BEING_WRITTEN.search(entry.name):
                with contextlib.suppress(FileNotFoundError):
                    yield entry.path, _describe(entry.stat(follow_symlinks=False))


def _describe(found: os.stat_result) -> tuple[FileState, int]:
    entry = (found.st_mode, found.st_size, found.st_mtime_ns, found.st_ino)
    return entry, found.st_ctime_ns


def _is_as_installed(path: str, before: Listing, after: Listing, differing: set[str]) -> bool:
    """Return whether a file has the installed content although its change time differs.

    An installer that makes hard links from its cache sets that time whenever another environment
    gets or loses the same file.
    """
    was, now = before.files.get(path), after.files.get(path)
    if was is None or now is None or was[0] != now[0]:
        return False
    record = _records().get(path)
    if record is None or record[0] in differing or not stat.S_ISREG(now[0][0]):
        return False
    with Path(path).open("rb") as file:
        found = hashlib.file_digest(file, "sha256").digest()
    return record[1] == base64.urlsafe_b64encode(found).rstrip(b"=").decode()


@functools.cache
def _records() -> dict[str, tuple[str, str]]:
    """Return for each installed file the RECORD file that lists it, and the listed SHA-256."""
    found = {}
    for folder in site.getsitepackages():
        for record in Path(folder).resolve().glob("*.dist-info/RECORD"):
            with record.open(encoding="utf-8", newline="") as file:
                for name, digest, *_ in csv.reader(file):
                    path = os.path.normpath(record.parent.parent / name)
                    found[path] = (str(record), digest.removeprefix("sha256="))
    return found


def _source(path: str) -> str | None:
    """Return the source file of a byte code file; None for any other file."""
    if not path.endswith(".pyc"):
        return None
    with contextlib.suppress(ValueError):
        return importlib.util.source_from_cache(path)
    return None


def _is_writable(folder: Path) -> bool:
    """Return whether this user can write a directory, or could change its permissions."""
    if not folder.exists():
        return False
    return os.access(folder, os.W_OK) or folder.stat().st_uid == os.geteuid()


def _compile_again(written: Iterable[str], log: Path, timeout: float) -> None:
    sources = []
    for path in written:
        Path(path).unlink(missing_ok=True)
        source = _source(path)
        if source is not None and path == importlib.util.cache_from_source(source):
            sources.append(source)
    if not sources:
        return
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as listing:
        listing.write("".join(f"{each}\n" for each in sources))
        listing.flush()
        compiler = [sys.executable, "-I", "-m", "compileall", "-q", "-j", "0", "-i", listing.name]
        # A package may contain examples that do not compile.
        process.run(compiler, log=log, timeout=timeout, check=False)
