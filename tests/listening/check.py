# SPDX-License-Identifier: Apache-2.0
"""What Gerrit must have at the end of a trial."""

import re
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from functional.gerrit import Gerrit

from bsdgate.results.reporters.review import marked
from listening.plan import Ending

_HEAD = re.compile(r"Patch Set (\d+):(?: (-?)Verified([+-]\d)?)?")


@dataclass
class Buildset:
    """A buildset for a patchset; one with a higher ``place`` began later."""

    uuid: str
    patchset: int
    place: int
    ending: Ending
    artifact: bool
    message: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def order(self) -> tuple[int, int]:
        """The newer buildset has the greater value."""
        return self.patchset, self.place

    @property
    def votes(self) -> set[int]:
        """The possible votes: with its message, the only copy of the data may be lost."""
        needs_data = self.ending in {Ending.PASS, Ending.FAIL} and not self.artifact
        return {self.ending.vote, 0} if needs_data else {self.ending.vote}


@dataclass
class Change:
    """A change in Gerrit, and what happened to it.

    ``raced`` are the patchsets that another one has followed while a review of them was posted.
    """

    number: int
    closed: bool = False
    abandoned: bool = False
    patchset: int = 1
    raced: set[int] = field(default_factory=set)
    buildsets: list[Buildset] = field(default_factory=list)
    changing: threading.Lock = field(default_factory=threading.Lock, repr=False)


def check(server: Gerrit, change: Change, messages: list[str]) -> Iterator[str]:
    """Yield what is wrong with a change that has these messages."""
    known = {each.uuid: each for each in change.buildsets}
    posted = [known[found.uuid] for each in messages if (found := marked(each))]
    for problem in (*_order(change, posted), *_votes(server, change, messages)):
        yield f"change {change.number}: {problem}"
        yield f"{change}\n{messages}"


def _order(change: Change, posted: list[Buildset]) -> Iterator[str]:
    uuids = [each.uuid for each in posted]
    if extra := {uuid: number for uuid, number in Counter(uuids).items() if number > 1}:
        yield f"posted more than once: {extra}"
    if posted != sorted(posted, key=lambda each: each.order):
        yield f"an older buildset was posted after a newer one: {uuids}"
    if silent := [each.uuid for each in posted if each.ending is Ending.DEQUEUED]:
        yield f"posted after a dequeue: {silent}"
    if change.closed and not change.abandoned and posted:
        yield "posted, but it was closed before"
    expected = [each for each in change.buildsets if each.ending is not Ending.DEQUEUED]
    newest = max(expected, key=lambda each: each.order, default=None)
    is_current = newest is not None and newest.patchset == change.patchset
    if is_current and not change.closed and newest not in posted:
        yield f"lost: {newest}"


def _votes(server: Gerrit, change: Change, messages: list[str]) -> Iterator[str]:
    known = {each.uuid: each for each in change.buildsets}
    votes: dict[int, int] = {}
    last: dict[int, bool] = {}
    for message in messages:
        head = _HEAD.match(message)
        assert head is not None, message
        patchset, vote = int(head[1]), int(head[3] or 0)
        if head[2] or head[3]:
            votes[patchset] = vote
        if found := marked(message):
            buildset = known[found.uuid]
            if patchset != buildset.patchset or found.patchset != patchset:
                yield f"{buildset.uuid}: posted on patchset {patchset}"
            # Gerrit does not name a vote that is there already.
            if not buildset.votes & {vote, votes.get(patchset, 0)}:
                yield f"{buildset.uuid}: the vote is {vote}, not {buildset.votes}"
        last[patchset] = bool(head[3]) if marked(message) else last.get(patchset, False)
    if not change.closed:
        # An earlier review of the patchset was valid, and a later one without a vote leaves it.
        for patchset in change.raced:
            if votes.get(patchset) and last[patchset]:
                yield f"the vote on the raced patchset {patchset} is {votes[patchset]}"
    current = server.vote(change.number)
    if current != votes.get(change.patchset, 0):
        yield f"the vote on the current patchset is {current}"
