# SPDX-License-Identifier: Apache-2.0
"""A directory of JSON files that wait: reading them, and setting damaged ones aside."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from bsdgate.harness import files

ASIDE: Final = "set-aside"
"""The subdirectory for files that are not used any more."""

T = TypeVar("T")


class DamagedError(Exception):
    """A file is damaged; the text is the reason."""


def read_all(folder: Path, read: Callable[[Path], T]) -> tuple[list[T], list[str]]:
    """Return the content of each file, and a line for each damaged file, which is set aside.

    ``read`` raises DamagedError for a damaged file.
    """
    found: list[T] = []
    problems: list[str] = []
    for path in sorted(folder.glob("*.json")):
        try:
            found.append(read(path))
        except DamagedError as damage:
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
    return kept
