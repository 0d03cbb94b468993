# SPDX-License-Identifier: Apache-2.0
"""A directory of JSON files that wait: reading them, and setting damaged ones aside."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from bsdgate.harness import files

ASIDE: Final = "set-aside"
"""The subdirectory for files that are not used any more."""

KEPT: Final = 200
"""The maximum number of files that are kept there, the newest ones."""

KEPT_FOR: Final = 30 * 86400.0
"""The number of seconds for which a file is kept there."""

T = TypeVar("T")


class DamagedError(Exception):
    """A file is damaged; the text is the reason."""


def read_all(
    folder: Path, read: Callable[[Path], T], damaged: Callable[[Path], None] | None = None
) -> tuple[list[T], list[str]]:
    """Return the content of each file, and a line for each damaged file, which is set aside.

    ``read`` raises DamagedError for a damaged file; ``damaged`` is called before it is set aside.
    """
    found: list[T] = []
    problems: list[str] = []
    for path in sorted(folder.glob("*.json")):
        try:
            found.append(read(path))
        except DamagedError as damage:
            if damaged is not None:
                damaged(path)
            kept = set_aside(path, f"damaged: {damage}")
            problems.append(f"{path.name} is damaged ({damage}): not used; kept as {kept}")
    return found, problems


def set_aside(path: Path, reason: str) -> Path:
    """Move a file to the subdirectory, and write the reason beside it; return its new path."""
    kept = path.parent / ASIDE / path.name
    with files.explain_errors(kept):
        path.replace(kept)
        kept.with_suffix(".reason").write_text(f"{reason}\n", encoding="utf-8")
    files.sync(path.parent)
    prune(path.parent)
    return kept


def prune(folder: Path) -> int:
    """Remove the files that were set aside too long ago, or are too many; return how many stay."""
    found = sorted(
        ((path.stat().st_mtime, path) for path in (folder / ASIDE).glob("*.json")), reverse=True
    )
    oldest = time.time() - KEPT_FOR
    kept = [path for changed, path in found[:KEPT] if changed > oldest]
    for _, path in found[len(kept) :]:
        path.unlink(missing_ok=True)
        path.with_suffix(".reason").unlink(missing_ok=True)
    return len(kept)
