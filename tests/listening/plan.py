# SPDX-License-Identifier: Apache-2.0
"""The schedule of a trial, which follows from its seed."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from fakes.faults import Fault
from votes.plan import CLOSED_BEFORE, SUPERSEDED_BEFORE, faults

REQUESTS = 40
"""The number of requests to Zuul during which a listener may be killed."""


class Ending(StrEnum):
    """How a buildset ends."""

    PASS = "PASS"
    FAIL = "FAIL"
    NO_VERDICT = "no verdict"
    RETRY_LIMIT = "RETRY_LIMIT"
    CONFIG_ERROR = "CONFIG_ERROR"
    DEQUEUED = "DEQUEUED"

    @property
    def vote(self) -> int:
        """The vote of its review."""
        return {Ending.PASS: 1, Ending.FAIL: -1, Ending.CONFIG_ERROR: -1}.get(self, 0)


class Kind(StrEnum):
    """What happens."""

    END = "a buildset ends in Zuul's API"
    MESSAGE = "the message about its end is published"
    PATCHSET = "a new patchset, and its buildset"
    KILL = "the listener is killed"
    STOP = "the listener is stopped and started"
    FULL = "a review waits"
    DAMAGE_REVIEW = "a file of the spool is damaged while the listener does not run"
    DAMAGE_INBOX = "a file of the inbox is damaged while the listener does not run"
    DAMAGE_STATE = "the list of settled buildsets is damaged while the listener does not run"
    BROKER_DOWN = "the broker ends"
    BROKER_UP = "the broker starts"
    LOGS_DOWN = "the log server answers 503"
    LOGS_UP = "the log server answers again"
    API_DOWN = "Zuul's API answers 503"
    API_UP = "Zuul's API answers again"
    GERRIT_DOWN = "Gerrit answers 503"
    GERRIT_UP = "Gerrit answers again"


DISTURBANCES: tuple[tuple[Kind, ...], ...] = (
    (Kind.KILL,),
    (Kind.STOP,),
    (Kind.PATCHSET,),
    (Kind.DAMAGE_INBOX,),
    (Kind.DAMAGE_STATE,),
    (Kind.BROKER_DOWN, Kind.BROKER_UP),
    (Kind.BROKER_DOWN, Kind.KILL, Kind.BROKER_UP),
    (Kind.LOGS_DOWN, Kind.LOGS_UP),
    (Kind.API_DOWN, Kind.API_UP),
    (Kind.GERRIT_DOWN, Kind.FULL, Kind.KILL, Kind.GERRIT_UP),
    (Kind.GERRIT_DOWN, Kind.FULL, Kind.DAMAGE_REVIEW, Kind.GERRIT_UP),
    (Kind.LOGS_DOWN, Kind.DAMAGE_INBOX, Kind.LOGS_UP),
)
"""What is added to a schedule, in this order, with other events between the parts."""


@dataclass(frozen=True)
class Planned:
    """A buildset: its change by index, how it ends, and whether an artifact has its data."""

    change: int
    ending: Ending
    artifact: bool


@dataclass(frozen=True)
class Event:
    """What happens, to which buildset by index, and the seconds until the next event."""

    kind: Kind
    buildset: int = 0
    pause: float = 0.0


@dataclass(frozen=True)
class Plan:
    """A schedule.

    ``changes`` has the state of each change at the beginning. ``faults`` are those of Gerrit by
    method. ``kills`` has for the number of a request to Zuul the seconds after its answer at which
    the listener is killed.
    """

    seed: int
    changes: Sequence[str]
    buildsets: Sequence[Planned]
    events: Sequence[Event]
    faults: Mapping[str, Sequence[Fault]]
    kills: Mapping[int, float]


def plan(seed: int) -> Plan:
    """Return the schedule: each disturbance is in at least one of every 12 seeds."""
    choose = random.Random(seed)
    states = ["", "", "", "", CLOSED_BEFORE, SUPERSEDED_BEFORE]
    changes = [choose.choice(states) for _ in range(choose.choice([1, 2, 3]))]
    endings = [*[Ending.PASS] * 4, *[Ending.FAIL] * 3, *Ending]
    buildsets = [
        Planned(change, choose.choice(endings), artifact=choose.random() < 0.7)
        for change in range(len(changes))
        for _ in range(choose.choice([1, 1, 2]))
    ]
    more = [DISTURBANCES[seed % len(DISTURBANCES)]]
    more += choose.choices(DISTURBANCES, k=choose.choice([0, 1, 2]))
    kills = {
        choose.randrange(REQUESTS): choose.uniform(0.0, 0.05) for _ in range(choose.choice([0, 1]))
    }
    events = _events(choose, len(buildsets), more)
    return Plan(seed, changes, buildsets, events, faults(seed, choose), kills)


def _events(choose: random.Random, buildsets: int, more: Sequence[tuple[Kind, ...]]) -> list[Event]:
    found = [(Kind.END, each) for each in range(buildsets)]
    for each in range(buildsets):
        found += [(Kind.MESSAGE, each)] * choose.choice([0, 1, 1, 2])
    choose.shuffle(found)
    for kinds in more:
        places = sorted(choose.randrange(len(found) + 1) for _ in kinds)
        if Kind.FULL in kinds:
            # The spool can only fill up if buildsets end in between.
            places = [0, *[len(found)] * (len(kinds) - 1)]
        for moved, (place, kind) in enumerate(zip(places, kinds, strict=True)):
            found.insert(place + moved, (kind, 0))
    return [
        Event(kind, each, choose.uniform(0.0, 0.5) if choose.random() < 0.5 else 0.0)
        for kind, each in found
    ]
