# SPDX-License-Identifier: Apache-2.0
"""Finds out whether the pass rate of a test has fallen, and whether a failure is a known flake.

The functions only compute with counts. The caller chooses which runs and failures it counts (such
as runs without the change under test, failures with the same signature).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

RECENT = 15
"""The number of newest runs in which a fall may begin."""

BASELINE = 2000
"""The number of earlier runs to compare the RECENT ones with; older runs may be left out."""

FALSE_DISCOVERIES = 0.004
"""The nominal fraction of false falls among the falls that block a run.

The real rate was measured, because Fisher's test stays far below its level if failures are rare,
and each test is checked in every run: 1,445 tests in 12 variants, each run ten times a day, give
about one false block in two months (tests/campaign/test_passrate.py).
"""

EARLIER_RUNS = 20
"""The minimum number of earlier runs for a known flake."""

EARLIER_FAILS = 2
"""The minimum number of failures in the earlier runs: one failure may be an accident."""

UNLIKELY = 0.01
"""The minimum probability of the present failures, at the earlier rate, for a known flake."""


@dataclass(frozen=True, slots=True)
class Counts:
    """The number of runs of a test, and the number of these runs in which it failed."""

    fails: int
    runs: int

    def __post_init__(self) -> None:
        if not 0 <= self.fails <= self.runs:
            raise ValueError(f"{self.fails} failures in {self.runs} runs are impossible")

    def __str__(self) -> str:
        return f"{self.fails} of {self.runs}"


@dataclass(frozen=True, slots=True)
class FailureHistory:
    """A test: its last outcomes (True for a failure, newest last), and the counts of older runs."""

    id: str
    recent: Sequence[bool]
    baseline: Counts


@dataclass(frozen=True, slots=True)
class Fall:
    """A fall of a test's pass rate: the counts since the fall, and before it.

    ``chance`` is the probability of at least as many failures since then, if nothing has changed.
    """

    id: str
    since: Counts
    before: Counts
    chance: float

    @property
    def weighed(self) -> float:
        """``chance`` times one more than the number of failures before the fall.

        False falls are found in tests that failed before, hardly ever in tests that never failed.
        So a fall of a test that never failed needs less evidence.
        """
        return self.chance * (1 + self.before.fails)

    def __str__(self) -> str:
        return f"{self.id}: failed in {self.since} runs since the fall, in {self.before} before it"


def fisher(since: Counts, before: Counts) -> float:
    """Return the p-value of Fisher's exact test, given the number of all failures.

    It is the probability of at least as many failures ``since``; only a fall makes it small.
    """
    fails, runs = since.fails + before.fails, since.runs + before.runs
    ways = sum(
        math.comb(since.runs, each) * math.comb(before.runs, fails - each)
        for each in range(since.fails, min(fails, since.runs) + 1)
    )
    return ways / math.comb(runs, fails)


def find_fall(record: FailureHistory) -> Fall | None:
    """Return the fall with the smallest ``weighed``; None if the test passed in the newest run.

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
    """Return the falls that block a run, the least likely by chance first.

    This is Benjamini and Hochberg's method, with ``Fall.weighed`` as the p-value.

    ``records`` are the failed tests of the run, ``tests`` is the number of executed tests. The more
    tests, the more evidence a fall needs; the more falls, the less evidence each of them needs.
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
    """Whether a failure is a flake known from the history, and the reason in one line."""

    known: bool
    why: str


def known_flake(history: Counts, here: Counts = Counts(1, 3)) -> Flake:
    """Return whether the earlier failures (``history``) explain those in this run (``here``).

    ``history`` counts earlier runs without the change, ``here`` this run and its re-runs: one
    failure in three if both re-runs passed. A test that fails more often than it passes is broken,
    not a flake.
    """
    if history.runs < EARLIER_RUNS:
        return Flake(False, f"{history.runs} earlier runs; at least {EARLIER_RUNS} are needed")
    past = f"it failed in {history} earlier runs"
    if history.fails < EARLIER_FAILS:
        return Flake(False, f"{past}; at least {EARLIER_FAILS} failures are needed")
    if 2 * history.fails > history.runs:
        return Flake(False, f"{past}: it is broken without the change")
    chance = fisher(here, history)
    if chance < UNLIKELY:
        return Flake(False, f"{past}: too rare for {here} now (probability {chance:.1g})")
    return Flake(True, f"{past}, which explains {here} now")
