# SPDX-License-Identifier: Apache-2.0
"""What the processes that run the tests share: directories that are made once, and locks."""

import contextlib
import fcntl
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path


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
