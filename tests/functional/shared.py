# SPDX-License-Identifier: Apache-2.0
"""What the processes that run the tests share: directories that are made once, and locks."""

import contextlib
import fcntl
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from functional.place import Done


@dataclass(frozen=True)
class FirstUp:
    """The first start of a cloud with an empty cache: its output, and the templates after it."""

    text: str
    seconds: float
    templates: list[str]

    @classmethod
    def of(cls, done: Done, cache: Path) -> Self:
        """Return the start that has just ended."""
        names = sorted(each.name for each in (cache / "templates").iterdir())
        return cls(done.text, done.seconds, names)

    def write(self, cache: Path) -> None:
        """Keep it in the cache directory."""
        (cache / "first-up.json").write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, cache: Path) -> Self:
        """Return the start with which the cache directory was filled."""
        return cls(**json.loads((cache / "first-up.json").read_text()))


@contextlib.contextmanager
def locked(file: Path, *, alone: bool) -> Iterator[None]:
    """Hold a lock on a file in the block: alone, or together with others that are not alone."""
    with file.open("w") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield


def made_once(folder: Path, make: Callable[[Path], object]) -> Path:
    """Return a directory that the first process makes; the others wait until it is complete."""
    draft = folder.with_name(f"{folder.name} draft")
    with locked(folder.with_name(f"{folder.name} lock"), alone=True):
        if not folder.exists():
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir()
            make(draft)
            draft.rename(folder)
    return folder
