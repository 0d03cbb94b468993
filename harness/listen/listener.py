# SPDX-License-Identifier: Apache-2.0
"""The listener: stores messages, judges buildsets, posts reviews, until it is stopped.

All work is in one thread; the thread of the broker's connection only stores messages.
"""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bsdgate.harness.listen import health
from bsdgate.harness.listen.health import Health
from bsdgate.harness.listen.inbox import MESSAGE_BOUND, Inbox, Item
from bsdgate.harness.listen.judge import Judge, Judged, NotYetError, RejectedError
from bsdgate.harness.listen.poll import Poll
from bsdgate.harness.listen.settings import Settings
from bsdgate.harness.listen.silence import Silence
from bsdgate.harness.listen.zuul import SILENT, NoAnswer, parse
from bsdgate.harness.reviews import aside
from bsdgate.harness.reviews.client import Blocked, Client, Unavailable
from bsdgate.harness.reviews.deliver import Delivery, Retries
from bsdgate.harness.reviews.post import Kind
from bsdgate.harness.reviews.spool import Spool, uuid_of

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 30.0
IDLE: Final = 20.0
"""The longest time in seconds between two writes of the state."""


@dataclass(frozen=True, slots=True)
class Pause:
    """When something is tried again (``time.monotonic``), and the pause before the next try."""

    until: float = 0.0
    seconds: float = FIRST_PAUSE

    def longer(self, least: float = 0.0) -> "Pause":
        """Return the pause from now on, which is twice as long next time."""
        doubled = min(2 * self.seconds, LONGEST_PAUSE)
        return Pause(time.monotonic() + max(self.seconds, least), doubled)

    @property
    def over(self) -> bool:
        """Whether it may be tried again."""
        return time.monotonic() >= self.until


@dataclass(frozen=True)
class Parts:
    """What a listener works with."""

    settings: Settings
    inbox: Inbox
    spool: Spool
    judge: Judge
    poll: Poll
    silence: Silence
    client: Client
    connected: Callable[[], bool]


class Listener:
    """Does the work of one state directory; ``report`` gets a line about each event."""

    def __init__(self, parts: Parts, folder: Path, report: Callable[[str], None]) -> None:
        """Do nothing yet."""
        self._parts: Final = parts
        self._folder: Final = folder
        self._report: Final = report
        self._wake: Final = threading.Event()
        self._stopping: Final = threading.Event()
        self._pauses: dict[str, Pause] = {}
        self._posting = Pause()
        self._waits: dict[Path, str] = {}
        self._next_poll = 0.0
        self._polled: datetime | None = None
        self._blocked = ""
        self._overdue: tuple[str, ...] = ()

    def stop(self) -> None:
        """Let ``run`` end soon; a signal handler may call this."""
        self._stopping.set()
        self._wake.set()

    def store(self, payload: bytes) -> None:
        """Store a message of Zuul; another thread may call this.

        :raises BsdgateError: it could not be written; it must come again.
        """
        try:
            if len(payload) > MESSAGE_BOUND:
                raise ValueError(f"it has more than {MESSAGE_BOUND} bytes")
            message = parse(payload)
            zuul = self._parts.settings
            if message.tenant != zuul.zuul.tenant or message.pipeline not in zuul.pipelines:
                return
            if message.action not in SILENT:
                self._parts.inbox.add(message.buildset.uuid, payload)
                self._wake.set()
        except ValueError as error:
            self._report(f"a message is dropped: {error}")

    def _judge_again(self, path: Path) -> None:
        """Judge the buildset of a damaged review again; Gerrit may still execute the review."""
        uuid = uuid_of(path)
        inbox = self._parts.inbox
        try:
            inbox.add(uuid)
        except ValueError as error:
            self._report(f"{path.name} is a review of no buildset: {error}")
            return
        inbox.remember(inbox.seen().with_again(uuid))
        self._report(f"buildset {uuid} is judged again, because its review is damaged")
        self._wake.set()

    def run(self) -> None:
        """Work until ``stop`` is called."""
        while not self._stopping.is_set():
            self._poll_if_due()
            items, problems = self._parts.inbox.read()
            for problem in problems:
                self._report(problem)
            for item in items:
                if not self._stopping.is_set() and self._pauses.get(item.uuid, Pause()).over:
                    self._judge(item)
            self._post()
            self._write_health(items)
            self._wake.wait(self._idle())
            self._wake.clear()

    def _poll_if_due(self) -> None:
        if time.monotonic() < self._next_poll:
            return
        self._next_poll = time.monotonic() + self._parts.settings.zuul.poll
        try:
            running = self._parts.poll.buildsets()
            self._polled = datetime.now(UTC)
            self._overdue = tuple(self._parts.silence.overdue(running))
        except (NoAnswer, Unavailable) as error:
            self._report(f"the poll failed: {error.message}")
        except Blocked as error:
            self._block(error)

    def _judge(self, item: Item) -> None:
        parts = self._parts
        try:
            judged = parts.judge.judge(item)
        except (NotYetError, NoAnswer, Unavailable) as error:
            before = self._pauses.get(item.uuid, Pause())
            self._pauses[item.uuid] = before.longer()
            if before.seconds == LONGEST_PAUSE:
                self._report(f"buildset {item.uuid} waits: {error}")
            return
        except Blocked as error:
            self._block(error)
            self._pauses[item.uuid] = self._pauses.get(item.uuid, Pause()).longer()
            return
        except RejectedError as error:
            self._pauses.pop(item.uuid, None)
            kept = parts.inbox.set_aside(item, str(error))
            parts.inbox.remember(parts.inbox.seen().without_again(item.uuid))
            self._report(f"buildset {item.uuid} is refused: {error}; kept as {kept}")
            return
        self._settle(item, judged)

    def _settle(self, item: Item, judged: Judged) -> None:
        """Store the reviews, then that the buildset is settled, then remove it from the inbox."""
        parts = self._parts
        seen = parts.inbox.seen()
        if item.uuid not in seen.done:
            sent = datetime.now(UTC) if item.uuid in seen.again else None
            for review in judged.reviews:
                parts.spool.add(parts.client.server, review, sent)
            parts.inbox.remember(seen.with_done(item.uuid, judged.buildset.id))
            self._posting = replace(self._posting, until=0.0)
        parts.inbox.remove(item)
        self._pauses.pop(item.uuid, None)

    def _post(self) -> None:
        if not any(self._parts.spool.folder.glob("*.json")):
            self._posting = Pause()
            self._waits = {}
            return
        if not self._posting.over:
            return
        delivery = Delivery(
            self._parts.spool,
            self._parts.client,
            self._report,
            retries=Retries(total=0),
            stopping=self._stopping.is_set,
            on_damage=self._judge_again,
        )
        try:
            settled = delivery.run()
        except Blocked as error:
            self._block(error)
            self._posting = self._posting.longer()
            return
        self._blocked = ""
        waits = {
            one.entry.path: f"{one.entry}: {one.outcome}"
            for one in settled
            if one.outcome.kind is Kind.WAITING
        }
        for path, line in waits.items():
            if self._waits.get(path) != line:
                self._report(line)
        self._waits = waits
        self._posting = self._posting.longer(delivery.after) if waits else Pause()

    def _block(self, error: Blocked) -> None:
        if self._blocked != error.message:
            self._report(str(error))
        self._blocked = error.message

    def _idle(self) -> float:
        """Return the seconds until there is something to do, if nothing wakes the listener."""
        moments = [pause.until for pause in self._pauses.values()]
        if self._posting.until:
            moments.append(self._posting.until)
        until = min([*moments, self._next_poll]) - time.monotonic()
        return min(max(until, 0.0), IDLE)

    def _write_health(self, items: list[Item]) -> None:
        parts = self._parts
        events = parts.silence.events
        ages = [item.age for item in items if item.uuid in self._pauses]
        state = Health(
            pid=os.getpid(),
            written=datetime.now(UTC),
            connected=parts.connected(),
            polled=self._polled,
            poll=parts.settings.zuul.poll,
            waiting=len(parts.inbox),
            oldest=max(ages, default=0.0),
            aside=aside.prune(parts.inbox.folder) + aside.prune(parts.spool.folder),
            reviews=sum(1 for _ in parts.spool.folder.glob("*.json")),
            events=events and events.began is not None,
            blocked=self._blocked,
            overdue=self._overdue,
        )
        health.write(self._folder, state)
