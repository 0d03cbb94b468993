# SPDX-License-Identifier: Apache-2.0
"""A year of a suite in which nothing changes, tests flaking each at its own rate."""

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
    """How much is run; the rates are drawn from Beta(0.1, 20), one for each test."""

    tests: int = 1445
    variants: int = 12
    days: int = 365

    def rates(self, rng: random.Random) -> list[float]:
        return [rng.betavariate(0.1, 20) for _ in range(self.tests)]


def failures(rng: random.Random, rate: float, runs: int) -> list[int]:
    """The runs in which a test fails; the gaps between them are geometric."""
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
    """What the store would tell of a test at a run: the last runs, and the runs before these."""
    begin = max(0, now + 1 - passrate.RECENT)
    oldest = max(0, begin - passrate.BASELINE)
    recent = set(failed)
    return FailureHistory(
        name,
        [run in recent for run in range(begin, now + 1)],
        Counts(sum(oldest <= run < begin for run in failed), begin - oldest),
    )


def false_blocks(suite: Suite, rng: random.Random) -> Iterator[tuple[int, str]]:
    """The blocks of a year in which nothing has changed: the day and the test.

    A test that stays blocked from one of its runs to the next is blocked once.
    """
    rates = suite.rates(rng)
    for variant in range(suite.variants):
        by_run: dict[int, list[FailureHistory]] = defaultdict(list)
        for test, rate in enumerate(rates):
            failed = failures(rng, rate, suite.days * RUNS_A_DAY)
            for place, run in enumerate(failed):
                # Two failures that are far apart are no fall, and most are.
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
    """All false blocks of a year of the whole suite."""
    return list(false_blocks(Suite(), random.Random(SEED + number)))


def runs_to_block(rng: random.Random, baseline: int, tests: int, pass_rate: float = 0.7) -> int:
    """After how many runs a test that never failed, and now passes less, is blocked; 0 if not."""
    failed: list[int] = []
    for run in range(passrate.RECENT):
        if rng.random() < 1 - pass_rate:
            failed.append(baseline + run)
            here = record("fallen", failed, baseline + run)
            if passrate.gate([here], tests):
                return run + 1
    return 0
