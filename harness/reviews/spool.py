# SPDX-License-Identifier: Apache-2.0
"""Reviews on disk that are not posted yet: one file each, which outlives every crash.

A file is complete or not there: it is written under another name, synced and renamed. A damaged
file is never posted; it is moved to a folder for such files, with the reason.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from bsdgate.harness import files, folders
from bsdgate.harness.errors import InfrastructureError
from bsdgate.harness.reviews import aside
from bsdgate.harness.reviews.aside import ASIDE, DamagedError
from bsdgate.results.reporters.review import Review

SCHEMA: Final = 1
"""The folder of files that are damaged, and of reviews that Gerrit has refused."""

_LOCK: Final = "lock"


@dataclass(frozen=True, slots=True)
class Entry:
    """A review in the spool, and the server that it is for.

    ``sent`` is when it was last sent; it is not known whether Gerrit has accepted it.
    """

    path: Path
    server: str
    review: Review
    sent: datetime | None = None

    def __str__(self) -> str:
        """Return the change, the patchset and the buildset."""
        buildset = self.review.buildset
        return f"{buildset.change},{buildset.patchset} {buildset.uuid}"


class Spool:
    """A folder with the reviews that wait. ``locked`` excludes other processes."""

    def __init__(self, folder: Path) -> None:
        """Make the folder, if it is not there."""
        self.folder: Final = folder
        with files.explain_errors(folder):
            folders.make(folder)
            folders.make(folder / ASIDE)

    @contextlib.contextmanager
    def locked(self, report: Callable[[str], None]) -> Iterator[None]:
        """Wait until no other process posts reviews, and exclude others; report the wait."""
        path = self.folder / _LOCK
        with files.explain_errors(self.folder):
            fd = files.take_lock(path)
            if fd is None:
                report(
                    f"waiting for process {files.holder(path) or 'unknown'}, which posts reviews"
                )
                fd = files.take_lock(path, wait=True)
        assert fd is not None, "with wait, the lock is always taken"
        try:
            yield
        finally:
            os.close(fd)

    def add(self, server: str, review: Review, sent: datetime | None = None) -> Entry:
        """Add a review; when this returns, it is on the disk.

        The review of the buildset that waits already stays: it may have been sent. ``sent`` is when
        a lost file with this review was possibly sent.
        """
        path = self.folder / f"{_digest(server)[:8]}-{_name(review)}.json"
        if path.exists():
            with contextlib.suppress(DamagedError):
                return _read(path)
        entry = Entry(path, server, review, sent)
        self._write(entry)
        return entry

    def mark_sent(self, entry: Entry) -> Entry:
        """Record on the disk that a review is sent now; return the new entry."""
        entry = replace(entry, sent=datetime.now(UTC))
        self._write(entry)
        return entry

    def _write(self, entry: Entry) -> None:
        content = {
            "schema": SCHEMA,
            "server": entry.server,
            "sent": entry.sent and entry.sent.isoformat(),
            "review": _adapter().dump_python(entry.review, mode="json"),
        }
        text = json.dumps({"sha256": _digest(_text(content)), **content}, indent=1)
        files.write_atomically(entry.path, f"{text}\n".encode())
        files.sync(self.folder)

    def read(self, damaged: Callable[[Path], None] | None = None) -> tuple[list[Entry], list[str]]:
        """Return the reviews, the oldest buildset first, and a line for each damaged file.

        The damaged files are set aside, each after ``damaged`` was called with its path.
        """
        entries, problems = aside.read_all(self.folder, _read, damaged)
        entries.sort(key=lambda entry: entry.review.buildset.started)
        return entries, problems

    def remove(self, entry: Entry) -> None:
        """Remove a review that was posted, or that must not be posted any more."""
        with files.explain_errors(entry.path):
            entry.path.unlink(missing_ok=True)
        files.sync(self.folder)

    def set_aside(self, entry: Entry, reason: str) -> Path:
        """Keep a review that cannot be posted in another folder; return its new path."""
        return aside.set_aside(entry.path, reason)


def _read(path: Path) -> Entry:
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
        digest = content.pop("sha256")
        if digest != _digest(_text(content)):
            raise DamagedError("the SHA-256 is another one")
        if content["schema"] != SCHEMA:
            raise DamagedError(f"schema {content['schema']!r} must be {SCHEMA}")
        review = _adapter().validate_json(json.dumps(content["review"]), strict=True)
        sent = content["sent"] and datetime.fromisoformat(content["sent"])
        return Entry(path, content["server"], review, sent)
    except ValidationError as error:
        raise DamagedError(f"{error.error_count()} fields are not valid") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedError(f"{type(error).__name__}: {error}") from error
    except OSError as error:
        raise InfrastructureError(
            f"cannot read {path}: {error.strerror}", "check the disk"
        ) from error


@cache
def _adapter() -> TypeAdapter[Review]:
    return TypeAdapter(Review)


def uuid_of(path: Path) -> str:
    """Return the id of the buildset in the name of a file."""
    return path.stem.split("-", 3)[-1]


def _name(review: Review) -> str:
    buildset = review.buildset
    return f"{buildset.change}-{buildset.patchset}-{buildset.uuid}"


def _text(content: dict[str, Any]) -> str:
    return json.dumps(content, sort_keys=True)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
