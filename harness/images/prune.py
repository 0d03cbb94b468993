# SPDX-License-Identifier: Apache-2.0
"""Removes images that are not needed, and what killed processes have left."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bsdgate.harness import folders
from bsdgate.harness.errors import UsageError
from bsdgate.harness.images.cache import DRAFT, PART, PARTS, Cache, Entry, locked


@dataclass(frozen=True)
class Removed:
    """Something that was removed, or that is in use and was not."""

    name: str
    size: int
    """The bytes that it took on the disk."""
    in_use: bool = False


def prune(cache: Cache, entries: list[Entry], unused_since: datetime | None) -> Iterator[Removed]:
    """Remove these images, except those in use; yield each one.

    With ``unused_since``, remove only images that were not used since. Damaged images are removed
    in any case.
    """
    for entry in entries:
        damaged = entry.image is None
        if damaged or unused_since is None or entry.used < unused_since:
            yield _remove_entry(cache, entry)


def remove_leftovers(cache: Cache) -> Iterator[Removed]:
    """Remove incomplete downloads and drafts, except those that a process is working on."""
    parts = cache.root / PARTS
    keys = {path.name.removesuffix(PART) for path in parts.glob(f"*{PART}")}
    keys |= {path.name.removeprefix(DRAFT) for path in cache.root.glob(f"{DRAFT}*")}
    for key in sorted(keys):
        draft, found = cache.root / f"{DRAFT}{key}", [*parts.glob(f"{key}.*")]
        size = size_on_disk(draft) + sum(path.stat().st_blocks * 512 for path in found)
        try:
            with locked(cache.root, key, 0):
                for path in found:
                    path.unlink(missing_ok=True)
                folders.remove_tree(draft, inside=cache.root)
        except UsageError:
            yield Removed(f"incomplete {key}", size, in_use=True)
        else:
            yield Removed(f"incomplete {key}", size)


def size_on_disk(folder: Path) -> int:
    """Return the bytes that the files in a folder take; holes take none."""
    return sum(path.stat().st_blocks * 512 for path in folder.glob("*"))


def _remove_entry(cache: Cache, entry: Entry) -> Removed:
    name = entry.record.name if entry.record else f"damaged {entry.key}"
    size = size_on_disk(entry.folder)
    return Removed(name, size, in_use=not cache.remove(entry))
