# SPDX-License-Identifier: Apache-2.0
"""A year of runs of a suite without changes: each test is flaky with its own rate."""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from bsdgate.results import passrate
from bsdgate.results.passrate import Counts, FailureHistory

RUNS_A_DAY = 10
SEED = 20261122


@dataclass(frozen=True)
class Suite:
    """The numbers of tests and runs; the rate of each test is drawn from Beta(0.1, 20)."""

    tests: int = 1445
    variants: int = 12
    days: int = 365

    def rates(self, rng: random.Random) -> list[float]:
        return [rng.betavariate(0.1, 20) for _ in range(self.tests)]


def failures(rng: random.Random, rate: float, runs: int) -> list[int]:
    """Yield the runs in which a test fails; the gaps between them are geometric."""
    found: list[int] = []
    if rate < 1e-12:
        return found
    passes, place = math.log1p(-rate), -1
    while True:
        place += 1 + int(math.log(1 - rng.random()) / passes)
        if place >= runs:
            return found
        found.append(place)


def record(name: str, failed: list[int], now: int) -> FailureHistory:
    """Return the store's data on a test at a run: the last runs, and the runs before these."""
    begin = max(0, now + 1 - passrate.RECENT)
    oldest = max(0, begin - passrate.BASELINE)
    recent = set(failed)
    return FailureHistory(
        name,
        [run in recent for run in range(begin, now + 1)],
        Counts(sum(oldest <= run < begin for run in failed), begin - oldest),
    )


def false_blocks(suite: Suite, rng: random.Random) -> Iterator[tuple[int, str]]:
    """Yield the day and the test of each block in a year without changes.

    A test that stays blocked from one run to the next counts once.
    """
    rates = suite.rates(rng)
    for variant in range(suite.variants):
        by_run: dict[int, list[FailureHistory]] = defaultdict(list)
        for test, rate in enumerate(rates):
            failed = failures(rng, rate, suite.days * RUNS_A_DAY)
            for place, run in enumerate(failed):
                # Two failures that are far apart are not a fall; most are far apart.
                if place and run - failed[place - 1] < passrate.RECENT:
                    window = failed[max(0, place - 400) : place + 1]
                    by_run[run].append(record(f"{test}/{variant}", window, run))
        yield from _blocked(by_run, suite.tests)


def _blocked(by_run: dict[int, list[FailureHistory]], tests: int) -> Iterator[tuple[int, str]]:
    last: Counter[str] = Counter()
    for run, records in sorted(by_run.items()):
        for fall in passrate.gate(records, tests):
            if fall.id not in last or run - last[fall.id] >= passrate.RECENT:
                yield run // RUNS_A_DAY, fall.id
            last[fall.id] = run


def one_year(number: int) -> list[tuple[int, str]]:
    """Return all false blocks in a year of the whole suite."""
    return list(false_blocks(Suite(), random.Random(SEED + number)))


def runs_to_block(rng: random.Random, baseline: int, tests: int, pass_rate: float = 0.7) -> int:
    """Return the number of runs until a test with a new failure rate is blocked; 0 if it is not."""
    failed: list[int] = []
    for run in range(passrate.RECENT):
        if rng.random() < 1 - pass_rate:
            failed.append(baseline + run)
            here = record("fallen", failed, baseline + run)
            if passrate.gate([here], tests):
                return run + 1
    return 0
