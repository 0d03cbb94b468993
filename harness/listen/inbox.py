# SPDX-License-Identifier: Apache-2.0
"""Buildsets on disk that are not judged yet, and which ones are settled.

A message is acknowledged to the broker only after it is here. A file is complete or not there.
"""

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bsdgate.harness import files, folders
from bsdgate.harness.listen.zuul import MessageBuild, parse
from bsdgate.harness.reviews import aside
from bsdgate.harness.reviews.aside import ASIDE, DamagedError

MESSAGE_BOUND: Final = 16 << 20
"""The maximum size of a message in bytes."""

_UUID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")


class Seen(BaseModel):
    """What the listener knows about Zuul's buildsets.

    Buildsets with an id below ``floor`` are settled; ``done`` are the settled ones from there on.
    ``warned`` are the patchsets and buildsets without a report that the log has named.
    """

    model_config = ConfigDict(frozen=True)

    floor: int | None = None
    done: Mapping[str, int] = Field(default_factory=dict)
    since: datetime = Field(default_factory=lambda: datetime.now(UTC))
    warned: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Item:
    """A buildset that waits, when it was stored, and the builds of its message by uuid.

    Without a message it was found in Zuul's API.
    """

    uuid: str
    received: datetime
    builds: Mapping[str, MessageBuild] = field(default_factory=dict)
    has_message: bool = True

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
        """Store a buildset, with its message if there is one; return whether it is new.

        The first message of a buildset stays.

        :raises ValueError: it cannot be the id of a buildset.
        """
        if not _UUID.fullmatch(uuid):
            raise ValueError(f"{uuid!r} cannot be the id of a buildset")
        content = {
            "received": datetime.now(UTC).isoformat(),
            "message": payload and payload.decode("utf-8"),
        }
        path = self._path(uuid)
        # The poll must not replace a message that another thread stores at the same time.
        with self._adding:
            if path.exists() and (payload is None or self._has_message(path)):
                return False
            files.write_atomically(path, json.dumps(content).encode())
        files.sync(self.folder)
        return True

    def read(self) -> tuple[list[Item], list[str]]:
        """Return the buildsets, the oldest first, and a line for each damaged file.

        The damaged files are set aside.
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
        """Return the state; an empty one if the file is not there or damaged.

        Then buildsets are judged again: their reviews are found on the change.
        """
        try:
            return Seen.model_validate_json(self._state.read_bytes())
        except (FileNotFoundError, ValidationError):
            return Seen()

    def remember(self, seen: Seen) -> None:
        """Write the state."""
        files.write_atomically(self._state, seen.model_dump_json(indent=1).encode())

    def _path(self, uuid: str) -> Path:
        return self.folder / f"{uuid}.json"

    def _has_message(self, path: Path) -> bool:
        try:
            return _read(path).has_message
        except DamagedError:
            return False


def _read(path: Path) -> Item:
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
        received = datetime.fromisoformat(content["received"]).astimezone(UTC)
        text = content["message"]
        builds = parse(text.encode()).buildset.builds if text else ()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedError(f"{type(error).__name__}: {error}") from error
    by_uuid = {build.uuid: build for build in builds if build.uuid}
    return Item(path.stem, received, by_uuid, has_message=bool(text))
