# SPDX-License-Identifier: Apache-2.0
"""The state of a listener in a file, and whether that is healthy."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from bsdgate.harness import files
from bsdgate.harness.reviews.aside import ASIDE

FILE: Final = "health.state"
LOCK: Final = "lock"
SILENT_AFTER: Final = 120.0
"""A listener that has not written its state for this number of seconds hangs."""
POLLS: Final = 3
"""The number of poll intervals without an answer of Zuul's API after which it is unhealthy."""
OLD: Final = 3600.0
"""The age in seconds from which a buildset that waits is unhealthy."""


class Health(BaseModel):
    """The state of a listener. ``overdue`` has the patchsets and buildsets without a report."""

    model_config = ConfigDict(frozen=True)

    pid: int
    written: datetime
    connected: bool
    polled: datetime | None
    poll: float
    """The seconds between two polls."""
    waiting: int
    """The number of buildsets that are not judged yet."""
    oldest: float
    """The age of the oldest of them in seconds."""
    reviews: int
    """The number of reviews that are not posted yet."""
    aside: int = 0
    """The number of files that were set aside."""
    events: bool | None = None
    """Whether the client of Gerrit's events runs; None if there is none."""
    blocked: str = ""
    """Why Gerrit accepts no review, such as a wrong password."""
    overdue: tuple[str, ...] = ()

    def problems(self, now: datetime) -> Iterator[str]:
        """Yield what is not healthy."""
        if (silent := (now - self.written).total_seconds()) > SILENT_AFTER:
            yield f"the listener has not written its state for {silent:.0f} s"
        if not self.connected:
            yield "the broker is not connected"
        if self.polled is None:
            yield "Zuul's API has not answered yet"
        elif (age := (now - self.polled).total_seconds()) > POLLS * self.poll + SILENT_AFTER:
            yield f"Zuul's API has not answered for {age:.0f} s"
        if self.events is False:
            yield "Gerrit's events are not received; events.log has the reason"
        if self.oldest > OLD:
            yield f"a buildset waits for {self.oldest:.0f} s"
        if self.blocked:
            yield self.blocked
        yield from self.overdue

    def lines(self, now: datetime) -> Iterator[str]:
        """Yield lines that describe the state."""
        polled = f"{(now - self.polled).total_seconds():.0f} s ago" if self.polled else "never"
        yield f"process {self.pid}"
        yield f"broker: {'connected' if self.connected else 'not connected'}"
        yield f"last poll of Zuul's API: {polled}"
        yield f"buildsets that wait: {self.waiting} (the oldest for {self.oldest:.0f} s)"
        yield f"reviews that wait: {self.reviews}"
        if self.aside:
            yield (
                f"warning: {self.aside} files are set aside; read the reasons in {ASIDE} below"
                f" inbox and reviews, then remove them"
            )


def write(folder: Path, health: Health) -> None:
    """Write the state of a listener."""
    files.write_atomically(folder / FILE, health.model_dump_json(indent=1).encode())


def check(folder: Path) -> tuple[list[str], list[str]]:
    """Return lines that describe the state of the listener, and its problems."""
    now = datetime.now(UTC)
    if not files.is_locked(folder / LOCK):
        return [], [f"no listener runs with the state directory {folder}"]
    try:
        health = Health.model_validate_json((folder / FILE).read_bytes())
    except FileNotFoundError:
        return [], ["the listener has just begun"]
    except ValidationError as error:
        return [], [f"{folder / FILE} is damaged: {error.error_count()} fields are not valid"]
    return list(health.lines(now)), list(health.problems(now))
