# SPDX-License-Identifier: Apache-2.0
"""The pass rate of a test: whether it has fallen, and whether a failure is a known flake.

The functions only calculate with counts. The caller chooses what is counted (a test in a variant,
without the change under test, with the same signature).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

RECENT = 15
"""The number of last runs in which a fall is searched."""

BASELINE = 2000
"""The number of runs before these that are compared with; older ones may be left out."""

FALSE_DISCOVERIES = 0.004
"""The nominal share of false falls among those that block a run.

The real rate was measured, because Fisher's test stays far below its level if failures are rare,
and each test is checked in every run: 1,445 tests in 12 variants, each run ten times a day, give
about one false block in two months (tests/campaign/test_passrate.py).
"""

EARLIER_RUNS = 20
"""The least number of earlier runs from which a flake is known."""

EARLIER_FAILS = 2
"""The least number of failures among these runs: one failure may be an accident."""

UNLIKELY = 0.01
"""If the earlier rate makes the present failures less likely, they are not the known flake."""


@dataclass(frozen=True, slots=True)
class Counts:
    """A number of runs, and how many of them failed."""

    fails: int
    runs: int

    def __post_init__(self) -> None:
        if not 0 <= self.fails <= self.runs:
            raise ValueError(f"{self.fails} failures in {self.runs} runs")

    def __str__(self) -> str:
        return f"{self.fails} of {self.runs}"


@dataclass(frozen=True, slots=True)
class FailureHistory:
    """A test that ran: its last outcomes (newest last, True for a failure), and earlier counts."""

    id: str
    recent: Sequence[bool]
    baseline: Counts


@dataclass(frozen=True, slots=True)
class Fall:
    """A pass rate that fell: failures since the fall, and before it.

    ``chance`` is the probability of at least as many failures since, if nothing has changed.
    """

    id: str
    since: Counts
    before: Counts
    chance: float

    @property
    def weighed(self) -> float:
        """``chance`` times one more than the failures before.

        If nothing has changed, false falls come from tests that failed before, hardly ever from
        tests that never failed. So a fall of the latter needs less evidence.
        """
        return self.chance * (1 + self.before.fails)

    def __str__(self) -> str:
        return f"{self.id}: failed {self.since} runs, before that {self.before}"


def fisher(since: Counts, before: Counts) -> float:
    """The probability of as many failures since, or more, given all failures: Fisher's exact test.

    One-sided: only a fall of the pass rate makes it small.
    """
    fails, runs = since.fails + before.fails, since.runs + before.runs
    ways = sum(
        math.comb(since.runs, each) * math.comb(before.runs, fails - each)
        for each in range(since.fails, min(fails, since.runs) + 1)
    )
    return ways / math.comb(runs, fails)


def find_fall(record: FailureHistory) -> Fall | None:
    """The least likely fall that ends with a failure now; None if the test passed now.

    A fall begins with a failure, so that failures close to each other count more than the same
    number spread over all recent runs.
    """
    recent = record.recent[-RECENT:]
    if not recent or not recent[-1]:
        return None
    older = record.recent[: len(record.recent) - len(recent)]
    falls = []
    for begin in (place for place, failed in enumerate(recent) if failed):
        since = Counts(sum(recent[begin:]), len(recent) - begin)
        earlier = sum(older) + sum(recent[:begin])
        before = Counts(record.baseline.fails + earlier, record.baseline.runs + len(older) + begin)
        falls.append(Fall(record.id, since, before, fisher(since, before)))
    return min(falls, key=lambda fall: fall.weighed)


def gate(records: Iterable[FailureHistory], tests: int) -> tuple[Fall, ...]:
    """Return the falls that block a run, least likely first.

    The method is that of Benjamini and Hochberg, with ``Fall.weighed`` as the p-value.

    ``records`` are the failed tests of the run, ``tests`` is the number of executed tests. With
    more tests a fall must be less likely to be accepted; with more falls, each needs less evidence.
    """
    falls = [fall for record in records if (fall := find_fall(record)) is not None]
    falls.sort(key=lambda fall: (fall.weighed, fall.id))
    accepted = 0
    for rank, fall in enumerate(falls, 1):
        if fall.weighed <= FALSE_DISCOVERIES * rank / tests:
            accepted = rank
    return tuple(falls[:accepted])


@dataclass(frozen=True, slots=True)
class Flake:
    """Whether a failure is a flake known from the history, and why, in one line."""

    known: bool
    why: str


def known_flake(history: Counts, here: Counts = Counts(1, 3)) -> Flake:
    """Whether ``history``, earlier runs without the change, explains the failures seen ``here``.

    ``here`` counts the run under judgement and its re-runs: one failure in three if both re-runs
    passed. A test that fails more often than it passes is broken, which is no flake.
    """
    if history.runs < EARLIER_RUNS:
        return Flake(False, f"{history.runs} earlier runs; {EARLIER_RUNS} are needed")
    if history.fails < EARLIER_FAILS:
        return Flake(False, f"it failed {history} earlier runs; {EARLIER_FAILS} are needed to tell")
    if 2 * history.fails > history.runs:
        return Flake(False, f"it failed {history} earlier runs: it is broken without the change")
    chance = fisher(here, history)
    past = f"it failed {history} earlier runs"
    if chance < UNLIKELY:
        return Flake(False, f"{past}: too rarely for {here} now ({chance:.1g})")
    return Flake(True, f"{past}, which explains {here} now")
