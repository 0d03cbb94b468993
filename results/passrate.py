# SPDX-License-Identifier: Apache-2.0
"""How often a test passes: whether that has fallen, and whether a failure is a known flake.

All of it is arithmetic on counts. What the counts are of (a test in a variant, without the change
under test, with the same signature) is the caller's to choose.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

RECENT = 15
"""How many of the last runs a fall is looked for in."""

BASELINE = 2000
"""How many runs before these are enough to compare with; older ones may be left out."""

FALSE_DISCOVERIES = 0.004
"""The nominal share of false ones among what a run blocks.

What it amounts to was measured, since Fisher's test keeps far below its level where failures are
rare, and a test is looked at in every run: 1,445 tests in 12 variants, each ten times a day, see
about one false block in two months (tests/campaign/test_passrate.py).
"""

EARLIER_RUNS = 20
"""A flake is known from at least so many runs."""

EARLIER_FAILS = 2
"""And from so many failures among them: what came once need not come and go."""

UNLIKELY = 0.01
"""What history makes less likely than this is not what history has seen."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Of ``runs`` runs, ``fails`` failed."""

    fails: int
    runs: int

    def __post_init__(self) -> None:
        if not 0 <= self.fails <= self.runs:
            raise ValueError(f"{self.fails} failures in {self.runs} runs")

    def __str__(self) -> str:
        return f"{self.fails} of {self.runs}"


@dataclass(frozen=True, slots=True)
class FailureHistory:
    """A test that ran: its last outcomes, newest last, True for a failure, and all before them."""

    id: str
    recent: Sequence[bool]
    baseline: Counts


@dataclass(frozen=True, slots=True)
class Fall:
    """A pass rate that fell: failures since the fall, and before it.

    ``chance`` is how likely so many failures since are if nothing has changed.
    """

    id: str
    since: Counts
    before: Counts
    chance: float

    @property
    def weighed(self) -> float:
        """``chance`` times one more than the failures before.

        Where nothing has changed it is tests known to fail that seem to fall, hardly ever those
        that never did; so the budget of false alarms is spent on the latter.
        """
        return self.chance * (1 + self.before.fails)

    def __str__(self) -> str:
        return f"{self.id}: failed {self.since} runs, before that {self.before}"


def fisher(since: Counts, before: Counts) -> float:
    """The chance of so many failures since, or more, given all failures: Fisher's exact test.

    One-sided: only a fall of the pass rate makes it small.
    """
    fails, runs = since.fails + before.fails, since.runs + before.runs
    all_ways = _log_ways(runs, fails)
    most = min(fails, since.runs)
    terms = (
        _log_ways(since.runs, each) + _log_ways(before.runs, fails - each) - all_ways
        for each in range(since.fails, most + 1)
        if fails - each <= before.runs
    )
    return min(math.fsum(math.exp(term) for term in terms), 1.0)


def _log_ways(runs: int, fails: int) -> float:
    return math.lgamma(runs + 1) - math.lgamma(fails + 1) - math.lgamma(runs - fails + 1)


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


def gate(
    records: Iterable[FailureHistory], tests: int, false_discoveries: float = FALSE_DISCOVERIES
) -> tuple[Fall, ...]:
    """The falls for which a run is to be blocked, least likely first.

    After Benjamini and Hochberg, with ``Fall.weighed`` in the place of the chance.

    ``records`` are the tests of the run that failed, ``tests`` is how many it executed: the more
    there are, the less likely a fall must be to be believed; and the more of them fall, the more is
    believed of each.
    """
    falls = [fall for record in records if (fall := find_fall(record)) is not None]
    falls.sort(key=lambda fall: (fall.weighed, fall.id))
    believed = 0
    for rank, fall in enumerate(falls, 1):
        if fall.weighed <= false_discoveries * rank / tests:
            believed = rank
    return tuple(falls[:believed])


@dataclass(frozen=True, slots=True)
class Flake:
    """Whether a failure is a flake that history knows, and why, in one line."""

    known: bool
    why: str


def known_flake(history: Counts, here: Counts = Counts(1, 3)) -> Flake:
    """Whether ``history``, earlier runs without the change, explains the failures seen ``here``.

    ``here`` counts the run under judgement and its re-runs: one failure in three if both re-runs
    passed. A test that fails more often than it passes is broken, which is no flake.
    """
    if history.runs < EARLIER_RUNS:
        return Flake(False, f"{history.runs} earlier runs; {EARLIER_RUNS} are needed to tell")
    if history.fails < EARLIER_FAILS:
        return Flake(False, f"it failed {history} earlier runs; {EARLIER_FAILS} are needed to tell")
    if 2 * history.fails > history.runs:
        return Flake(False, f"it failed {history} earlier runs: it is broken without the change")
    chance = fisher(here, history)
    said = f"it failed {history} earlier runs"
    if chance < UNLIKELY:
        return Flake(False, f"{said}: too rarely for {here} now ({chance:.1g})")
    return Flake(True, f"{said}, which explains {here} now")
