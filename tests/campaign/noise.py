# SPDX-License-Identifier: Apache-2.0
"""Seeded series: noise of several kinds, with or without a step; and the bound.

The standard deviation of the noise is 5 % of the level by default; for kinds with outliers, without
the outliers.
"""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing import get_context
from typing import TypeVar

from bsdgate.results.trends import Point, Series, Thresholds, follow

SEED = 20261122
YEAR = 365
LEVEL, NOISE, STEP = 10.0, 0.05, 0.10
ANY = Thresholds(share=0, seconds=0)
_FIRST = datetime(2026, 1, 1, tzinfo=UTC)

Some = TypeVar("Some")
Noise = Callable[[random.Random, int], list[float]]


def normal(rng: random.Random, count: int) -> list[float]:
    return [rng.gauss(0, 1) for _ in range(count)]


def student(rng: random.Random, count: int, freedom: int = 3) -> list[float]:
    """Student's t, scaled to a standard deviation of 1."""
    scale = math.sqrt((freedom - 2) / freedom)
    return [
        scale * rng.gauss(0, 1) / math.sqrt(rng.gammavariate(freedom / 2, 2) / freedom)
        for _ in range(count)
    ]


def outliers(rng: random.Random, count: int) -> list[float]:
    """One point in twenty has ten times its deviation."""
    return [rng.gauss(0, 1) * (10 if rng.random() < 0.05 else 1) for _ in range(count)]


def spikes(rng: random.Random, count: int) -> list[float]:
    """One point in twenty is far too high, as on a busy machine."""
    return [
        rng.gauss(0, 1) + (abs(rng.gauss(0, 8)) if rng.random() < 0.05 else 0) for _ in range(count)
    ]


def skewed(rng: random.Random, count: int) -> list[float]:
    return [rng.expovariate(1) - 1 for _ in range(count)]


def autoregressive(rng: random.Random, count: int, share: float = 0.4) -> list[float]:
    """AR(1): each point has ``share`` of the deviation of the point before."""
    value, found = rng.gauss(0, 1), []
    for _ in range(count):
        value = share * value + rng.gauss(0, math.sqrt(1 - share * share))
        found.append(value)
    return found


NOISES: dict[str, Noise] = {
    "normal": normal,
    "t, 3 degrees": student,
    "t, 5 degrees": partial(student, freedom=5),
    "outliers": outliers,
    "spikes": spikes,
    "skewed": skewed,
    "AR(1) 0.2": partial(autoregressive, share=0.2),
    "AR(1) 0.4": partial(autoregressive, share=0.4),
    "AR(1) 0.6": partial(autoregressive, share=0.6),
}


def seconds(noise: Sequence[float], at: int | None = None, step: float = STEP) -> list[float]:
    """Return durations: the level with noise, higher by ``step`` of the level from ``at`` on."""
    found = []
    for place, value in enumerate(noise):
        level = 1 + (step if at is not None and place >= at else 0)
        found.append(LEVEL * max(level + NOISE * value, 0.05))
    return found


def series(durations: Sequence[float]) -> Series:
    """Return a series with one run a day."""
    points = (
        Point(_FIRST + timedelta(days=day), str(day), value) for day, value in enumerate(durations)
    )
    return Series("made up", tuple(points))


def alarms(durations: Sequence[float], thresholds: Thresholds = ANY) -> list[int]:
    """Return the positions of the alarms."""
    return [int(change.found.run_id) for change in follow(series(durations), thresholds).changes]


def raises_any(kind: str, thresholds: Thresholds, number: int) -> bool:
    rng = random.Random(f"{SEED} {kind} {number}")
    return bool(alarms(seconds(NOISES[kind](rng, YEAR)), thresholds))


def stepped(
    kind: str, after: int, number: int, step: float = STEP, length: int = 60
) -> list[float]:
    """Return a series with a step after ``after`` points, followed by ``length`` points."""
    rng = random.Random(f"{SEED} step {kind} {number}")
    return seconds(NOISES[kind](rng, after + length), after, step)


def delay(kind: str, after: int, step: float, number: int) -> float | None:
    """Return the runs from step to alarm; inf without an alarm, None if one is too early."""
    found = alarms(stepped(kind, after, number, step))
    if found and found[0] < after:
        return None
    return found[0] - after + 1 if found else math.inf


def bound_delay(limit: float, number: int) -> float | None:
    """Return the same for CUSUM with known level and deviation, and a step of two deviations."""
    rng = random.Random(f"{SEED} bound {number}")
    for place, strength in enumerate(_bound(rng, 120, 60), 1):
        if strength > limit:
            return None if place <= 60 else place - 60
    return math.inf


def bound_peak(number: int) -> float:
    """Return the maximum of a known-parameter CUSUM in a year of noise."""
    return max(_bound(random.Random(f"{SEED} bound noise {number}"), YEAR, YEAR))


def _bound(rng: random.Random, count: int, after: int) -> Iterator[float]:
    up = down = 0.0
    half = STEP / NOISE / 2
    for place in range(count):
        value = rng.gauss(STEP / NOISE if place >= after else 0, 1)
        up, down = max(0.0, up + value - half), max(0.0, down - value - half)
        yield max(up, down)


def each(work: Callable[[int], Some], count: int, chunk: int = 50) -> list[Some]:
    """Return ``work`` of 0, 1, 2 … in order, calculated by two processes."""
    if count < 100 and chunk > 1:
        return [work(number) for number in range(count)]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        return list(pool.map(work, range(count), chunksize=chunk))


def quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]
