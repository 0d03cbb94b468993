# SPDX-License-Identifier: Apache-2.0
"""The plan of a trial, which follows from its seed."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fakes.faults import Fault

POSTS = tuple(fault for fault in Fault if fault is not Fault.NONE)
READS = (Fault.BUSY, Fault.ERROR, Fault.CUT, Fault.CUT_ANSWER, Fault.KILL)
CLOSED_BEFORE, SUPERSEDED_BEFORE = "closed before", "superseded before"


@dataclass(frozen=True)
class Planned:
    """A change of a trial: how many buildsets wait for it, whether with votes, and its state.

    ``late``: the newest buildset ends after the first process.
    """

    buildsets: int
    late: bool
    voting: bool
    state: str


@dataclass(frozen=True)
class Plan:
    """The changes, the faults by method, and when the first process is killed, if not by a fault.

    ``kill_after`` is in seconds from the start of the process.
    """

    seed: int
    changes: Sequence[Planned]
    faults: Mapping[str, Sequence[Fault]]
    kill_after: float | None


def plan(seed: int) -> Plan:
    """Return the plan: each fault of a post is the first one in one of every 15 seeds."""
    choose = random.Random(seed)
    changes = [
        Planned(
            buildsets=choose.choice([1, 2]),
            late=choose.random() < 0.7,
            voting=choose.random() < 0.8,
            state=choose.choice(["", "", "", "", CLOSED_BEFORE, SUPERSEDED_BEFORE]),
        )
        for _ in range(choose.choice([1, 2, 3]))
    ]
    found = faults(seed, choose)
    kill_after = choose.uniform(0.0, 1.5) if choose.random() < 0.3 else None
    return Plan(seed, changes, found, kill_after)


def faults(seed: int, choose: random.Random) -> Mapping[str, Sequence[Fault]]:
    """Return faults by method."""
    posts = [POSTS[seed % len(POSTS)], *choose.choices([*POSTS, Fault.NONE], k=choose.randrange(4))]
    reads = choose.choices([Fault.NONE] * 4 + [*READS], k=choose.randrange(6))
    return {"POST": posts, "GET": reads}
