# SPDX-License-Identifier: Apache-2.0
"""Buildsets on disk that are not judged yet, and which ones are settled.

A message is acknowledged to the broker only after it is here. A file is complete or not there.
Each different message of a buildset is kept: only Zuul's API says which of them is about it.
"""

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bsdgate.harness import files, folders
from bsdgate.harness.listen.zuul import MessageBuild, parse
from bsdgate.harness.reviews import aside
from bsdgate.harness.reviews.aside import ASIDE, DamagedError

MESSAGE_BOUND: Final = 16 << 20
"""The maximum size of a message in bytes."""

MESSAGES: Final = 4
"""The maximum number of different messages of a buildset."""

BUILDSETS: Final = 5000
"""The number of buildsets that wait from which on messages about others are dropped."""

BACK: Final = timedelta(days=7)
"""Buildsets that began before this time count if it is not known any more which are settled."""

_UUID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")


class Seen(BaseModel):
    """What the listener knows about Zuul's buildsets.

    Buildsets with an id below ``floor`` are settled; ``done`` are the settled ones from there on.
    ``since`` is when the oldest buildset that counts may have begun. ``again`` are buildsets of
    which a review was lost that Gerrit may still execute, and ``warned`` are the patchsets and
    buildsets without a report that the log has named.
    """

    model_config = ConfigDict(frozen=True)

    floor: int | None = None
    done: Mapping[str, int] = Field(default_factory=dict)
    since: datetime = Field(default_factory=lambda: datetime.now(UTC))
    again: tuple[str, ...] = ()
    warned: tuple[str, ...] = ()

    def with_done(self, uuid: str, number: int) -> "Seen":
        """Return the state after a buildset was settled."""
        found = self.without_again(uuid)
        return found.model_copy(update={"done": {**self.done, uuid: number}})

    def without_again(self, uuid: str) -> "Seen":
        """Return the state after a buildset was refused."""
        again = tuple(each for each in self.again if each != uuid)
        return self.model_copy(update={"again": again})

    def with_again(self, uuid: str) -> "Seen":
        """Return the state in which a buildset is not settled any more."""
        done = {each: number for each, number in self.done.items() if each != uuid}
        again = (*(each for each in self.again if each != uuid), uuid)
        return self.model_copy(update={"done": done, "again": again})


@dataclass(frozen=True, slots=True)
class Item:
    """A buildset that waits, when it was stored, and the builds of each message by uuid.

    Without a message it was found in Zuul's API.
    """

    uuid: str
    received: datetime
    messages: tuple[Mapping[str, MessageBuild], ...] = ()

    @property
    def age(self) -> float:
        """The time since it was stored in seconds."""
        return max((datetime.now(UTC) - self.received).total_seconds(), 0.0)


class Inbox:
    """A folder with a file for each buildset that waits."""

    def __init__(self, folder: Path) -> None:
        """Make the folder, if it is not there."""
        self.folder: Final = folder
        self._state: Final = folder / "seen.state"
        self._adding: Final = threading.Lock()
        with files.explain_errors(folder):
            folders.make(folder)
            folders.make(folder / ASIDE)

    def add(self, uuid: str, payload: bytes | None = None) -> bool:
        """Store a buildset, with a message if there is one; return whether something is new.

        :raises ValueError: it cannot be the id of a buildset, or there are too many messages.
        """
        if not _UUID.fullmatch(uuid):
            raise ValueError(f"{uuid!r} cannot be the id of a buildset")
        given = [] if payload is None else [payload.decode("utf-8")]
        path, now = self._path(uuid), datetime.now(UTC).isoformat()
        # The poll must not replace a message that another thread stores at the same time.
        with self._adding:
            known = _content(path)
            messages: list[str] = known.get("messages", [])
            new = [text for text in given if _builds(text) not in map(_builds, messages)]
            if known and not new:
                return False
            if new and not known and len(self) >= BUILDSETS:
                raise ValueError(f"{BUILDSETS} buildsets wait already; the poll finds {uuid}")
            if len(messages) + len(new) > MESSAGES:
                raise ValueError(f"buildset {uuid} has {MESSAGES} different messages already")
            content = {"received": known.get("received", now), "messages": [*messages, *new]}
            files.write_atomically(path, json.dumps(content).encode())
        files.sync(self.folder)
        return True

    def read(self) -> tuple[list[Item], list[str]]:
        """Return the buildsets, the oldest first, and a line for each damaged file.

        The damaged files are set aside; the poll finds their buildsets again.
        """
        items, problems = aside.read_all(self.folder, _read)
        items.sort(key=lambda item: item.received)
        return items, problems

    def __len__(self) -> int:
        return sum(1 for _ in self.folder.glob("*.json"))

    def remove(self, item: Item) -> None:
        """Remove a buildset that is settled."""
        with files.explain_errors(self.folder):
            self._path(item.uuid).unlink(missing_ok=True)
        files.sync(self.folder)

    def set_aside(self, item: Item, reason: str) -> Path:
        """Keep a buildset that cannot be judged in another folder; return its new path."""
        return aside.set_aside(self._path(item.uuid), reason)

    def seen(self) -> Seen:
        """Return the state; an empty one if the file is not there.

        If it is damaged, the buildsets of the last days are judged again: their reviews are found
        on the changes.
        """
        try:
            return Seen.model_validate_json(self._state.read_bytes())
        except FileNotFoundError:
            return Seen()
        except ValidationError:
            return Seen(since=datetime.now(UTC) - BACK)

    def remember(self, seen: Seen) -> None:
        """Write the state."""
        files.write_atomically(self._state, seen.model_dump_json(indent=1).encode())

    def _path(self, uuid: str) -> Path:
        return self.folder / f"{uuid}.json"


def _read(path: Path) -> Item:
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
        received = datetime.fromisoformat(content["received"]).astimezone(UTC)
        messages = tuple(map(_builds, content["messages"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedError(f"{type(error).__name__}: {error}") from error
    return Item(path.stem, received, messages)


def _content(path: Path) -> dict[str, Any]:
    """Return the content of a file; nothing if it is not there or damaged."""
    try:
        _read(path)
    except (FileNotFoundError, DamagedError):
        return {}
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


def _builds(text: str) -> Mapping[str, MessageBuild]:
    """Return the builds of a message by uuid."""
    builds = parse(text.encode()).buildset.builds
    return {build.uuid: build for build in builds if build.uuid}
