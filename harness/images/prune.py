# SPDX-License-Identifier: Apache-2.0
"""Removes unused images, and the files that killed processes left."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bsdgate.harness import folders
from bsdgate.harness.errors import UsageError
from bsdgate.harness.images.cache import DRAFT, PART, PARTS, Cache, Entry, locked
from bsdgate.harness.images.client import name_in
from bsdgate.harness.images.download import source_of

BLOCK: Final = 512
"""The unit in which systems report what a file takes on the disk."""


@dataclass(frozen=True)
class Removed:
    """An image or an incomplete download that was removed, or was kept because it is in use."""

    name: str
    size: int
    """The bytes that it took on the disk."""
    in_use: bool = False


@dataclass(frozen=True)
class Leftover:
    """The files of an image that a process is making, or that a killed or failed process left."""

    key: str
    name: str
    size: int
    changed: datetime
    paths: tuple[Path, ...]


def prune(cache: Cache, entries: list[Entry], unused_since: datetime | None) -> Iterator[Removed]:
    """Remove these images, except those in use; yield each one.

    With ``unused_since``, remove only images that were not used since. Damaged images are removed
    in any case.
    """
    for entry in entries:
        damaged = entry.image is None
        if damaged or unused_since is None or entry.used < unused_since:
            yield _remove_entry(cache, entry)


def remove_leftovers(cache: Cache, unused_since: datetime | None) -> Iterator[Removed]:
    """Remove incomplete downloads and drafts, except those that a process is working on.

    With ``unused_since``, remove only those that have not grown since.
    """
    for each in leftovers(cache):
        if unused_since is None or each.changed < unused_since:
            yield Removed(each.name, each.size, in_use=not _remove_leftover(cache, each))


def leftovers(cache: Cache) -> list[Leftover]:
    """Return the incomplete downloads and the drafts."""
    parts = cache.root / PARTS
    keys = {path.name.removesuffix(PART) for path in parts.glob(f"*{PART}")}
    keys |= {path.name.removeprefix(DRAFT) for path in cache.root.glob(f"{DRAFT}*")}
    return [_leftover(cache, key) for key in sorted(keys)]


def _leftover(cache: Cache, key: str) -> Leftover:
    parts = cache.root / PARTS
    paths = [*parts.glob(f"{key}.*"), *cache.root.glob(f"{DRAFT}{key}")]
    found = _stat(path for each in paths for path in (each, *each.glob("*")))
    source = source_of(parts / f"{key}{PART}")
    return Leftover(
        key,
        f"incomplete {name_in(source.url) if source else key}",
        sum(each.st_blocks * BLOCK for each in found),
        datetime.fromtimestamp(max((each.st_mtime for each in found), default=0), UTC),
        tuple(paths),
    )


def _remove_leftover(cache: Cache, leftover: Leftover) -> bool:
    """Remove the files; return False if a process is working on them."""
    try:
        with locked(cache.root, leftover.key, 0):
            for path in leftover.paths:
                if path.is_dir():
                    folders.remove_tree(path, inside=cache.root)
                else:
                    path.unlink(missing_ok=True)
    except UsageError:
        return False
    return True


def size_on_disk(folder: Path) -> int:
    """Return the number of bytes that the files in a directory take on the disk, without holes."""
    return sum(each.st_blocks * BLOCK for each in _stat(folder.glob("*")))


def _stat(paths: Iterable[Path]) -> list[os.stat_result]:
    """Return the status of files, except those that another process has removed meanwhile."""
    found = []
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            found.append(path.stat())
    return found


def _remove_entry(cache: Cache, entry: Entry) -> Removed:
    name = entry.record.name if entry.record else f"damaged {entry.key}"
    size = size_on_disk(entry.folder)
    return Removed(name, size, in_use=not cache.remove(entry))
