# SPDX-License-Identifier: Apache-2.0
"""A trial: reviews are posted until the spool is empty; then Gerrit has what it must have."""

import re
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fakes.faults import Fault, proxying
from functional import gerrit
from functional.gerrit import Gerrit

from bsdgate.harness.reviews.aside import ASIDE
from bsdgate.harness.reviews.spool import Spool
from bsdgate.results.reporters.review import Buildset, Review, marked
from votes.forking import Forker
from votes.plan import CLOSED_BEFORE, SUPERSEDED_BEFORE, Plan, Planned
from votes.poster import Job

BEGAN = datetime(2026, 11, 29, 1, 40, tzinfo=UTC)
STARTS = 12
"""The maximum number of starts of a trial; each kill needs one more."""

_HEAD = re.compile(r"Patch Set (\d+):(?: (-?)Verified([+-]\d)?)?")


@dataclass
class Change:
    """A change in Gerrit, and what happened to it during the trial."""

    planned: Planned
    number: int
    reviews: list[Review] = field(default_factory=list)
    events: list[Fault] = field(default_factory=list)

    @property
    def has_late(self) -> bool:
        return self.planned.late and self.planned.buildsets > 1


def _review(change: Change, each: int) -> Review:
    """Return the review of a buildset: the newest one has the vote +1, others -1."""
    buildset = Buildset(change.number, 1, f"b{each}", BEGAN + timedelta(seconds=each))
    vote = 1 if each == change.planned.buildsets - 1 else -1
    labels = {"Verified": vote} if change.planned.voting else {}
    return Review(buildset, f"PASS\n\n{buildset.mark}", labels)


def poster() -> Forker:
    """Return a process that posts the reviews of a spool at each start."""
    return Forker("votes.poster")


@dataclass
class Trial:
    """A trial on a server, in a folder of its own."""

    plan: Plan
    server: Gerrit
    folder: Path
    poster: Forker
    changes: list[Change] = field(default_factory=list)
    starts: int = 0

    def run(self) -> list[str]:
        """Carry out the plan; return what is wrong."""
        with proxying(self.server.url) as proxy:
            spool = Spool(self.folder / "spool")
            self._prepare(spool, proxy.url)
            proxy.faults = {method: list(faults) for method, faults in self.plan.faults.items()}
            proxy.new_patchset = lambda path: self._happen(path, Fault.PATCHSET)
            proxy.abandon = lambda path: self._happen(path, Fault.ABANDON)
            proxy.kill = self.poster.kill
            job = Job(str(spool.folder), proxy.url, *gerrit.CI, str(self.folder / "log"))
            problems = self._post(spool, job)
            proxy.settle()
        return problems or [
            f"seed {self.plan.seed}, change {change.number}: {problem}"
            for change in self.changes
            for problem in self._check(change)
        ]

    def _prepare(self, spool: Spool, url: str) -> None:
        for planned in self.plan.changes:
            change = Change(planned, self.server.new_change())
            for each in range(planned.buildsets):
                change.reviews.append(_review(change, each))
            for review in change.reviews[: -1 if change.has_late else None]:
                spool.add(url, review)
            if planned.state == CLOSED_BEFORE:
                self.server.abandon(change.number)
            if planned.state == SUPERSEDED_BEFORE:
                self.server.new_patchset(change.number)
            self.changes.append(change)

    def _happen(self, path: str, event: Fault) -> None:
        """Add a patchset to the change of a request, or abandon it, if that is possible."""
        number = int(path.split("/")[3])
        (change,) = (each for each in self.changes if each.number == number)
        if change.planned.state == CLOSED_BEFORE or Fault.ABANDON in change.events:
            return
        change.events.append(event)
        if event is Fault.ABANDON:
            self.server.abandon(number)
        else:
            self.server.new_patchset(number)

    def _post(self, spool: Spool, job: Job) -> list[str]:
        while self.starts < STARTS:
            timer = None
            self.poster.start(job.dump())
            if not self.starts and self.plan.kill_after is not None:
                timer = threading.Timer(self.plan.kill_after, self.poster.kill)
                timer.start()
            self.starts += 1
            status = self.poster.wait()
            if timer is not None:
                timer.cancel()
                timer.join()
            if self.starts == 1:
                for change in filter(lambda each: each.has_late, self.changes):
                    spool.add(job.url, change.reviews[-1])
            if status == 0 and not spool.read()[0]:
                aside = list((spool.folder / ASIDE).iterdir())
                return [f"set aside: {aside}"] if aside else []
            if status not in {0, -signal.SIGKILL}:
                return [f"exit status {status}: {(self.folder / 'log').read_text()}"]
        return [f"seed {self.plan.seed}: not empty after {STARTS} starts"]

    def _check(self, change: Change) -> Iterator[str]:
        messages = self.server.messages(change.number)
        order = [found.uuid for each in messages if (found := marked(each))]
        marks = Counter(order)
        newest = change.reviews[-1].buildset.uuid
        if extra := {uuid: number for uuid, number in marks.items() if number > 1}:
            yield f"posted more than once: {extra}"
        if order != sorted(order):
            yield f"an older buildset was posted after a newer one: {order}"
        if not change.has_late and set(marks) - {newest}:
            yield f"a buildset was posted though a newer one waited: {order}"
        if change.planned.state and marks:
            yield f"posted, but it was {change.planned.state}"
        if not change.planned.state and not change.events and marks[newest] != 1:
            yield "the review is lost"
        yield from self._check_vote(change, messages)

    def _check_vote(self, change: Change, messages: list[str]) -> Iterator[str]:
        vote = 0
        for message in messages:
            head = _HEAD.match(message)
            assert head is not None, message
            if head[1] != "1":
                yield f"a message on patchset {head[1]}, but patchset 1 was tested"
            if head[2] or head[3]:
                vote = int(head[3] or 0)
        raced = Fault.PATCHSET in change.events
        closed = Fault.ABANDON in change.events
        last = [found.uuid for each in messages if (found := marked(each))][-1:]
        votes = {one.buildset.uuid: one.labels.get("Verified", 0) for one in change.reviews}
        expected = votes[last[0]] if last and not raced else 0
        if vote != expected and not closed:
            yield f"the vote on patchset 1 is {vote}, not {expected}"
        current = self.server.vote(change.number)
        if raced and current:
            yield f"a vote of {current} on a patchset that was not tested"
