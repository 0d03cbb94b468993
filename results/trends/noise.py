# SPDX-License-Identifier: Apache-2.0
"""A level and the noise around it, learned from the points of a reference."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

QUICK, PATIENT = 2.0, 0.8
"""The moves, in standard deviations of the noise, that the sums are made for."""

FINEST = 0.002
"""The least noise: no clock and no machine repeats itself better than that, as a share."""

_CLIP = 2.75
_PRIOR = 60
_NORMAL_MAD = 1.4826


@dataclass(frozen=True, slots=True)
class Scores:
    """What a level and its noise look like, learned from the points of a reference."""

    middle: float
    low: float
    high: float
    noise: float
    scale: float
    costs: dict[tuple[float, int], float]

    def of(self, value: float) -> float:
        """How many standard deviations ``value`` is off the level, within bounds."""
        return (min(max(value, self.low), self.high) - self.middle) / self.scale


def learn(reference: Sequence[float]) -> Scores:
    """Level, spread and price of each sum's step.

    The tails are drawn in before mean and deviation are taken, so outliers count little. The
    deviation grows by what neighbours have in common, as that of their sums does. A sum's price
    for each step is what makes exp(step) one on average over the reference, so that a skewed
    noise pays for its longer tail; the prior is a normal one, which also is the least price.
    """
    count = len(reference)
    centre = median(reference)
    spread = _NORMAL_MAD * median([abs(value - centre) for value in reference])
    finest = FINEST * centre
    reach = _CLIP * max(spread, finest)
    low, high = centre - reach, centre + reach
    drawn = [min(max(value, low), high) for value in reference]
    middle = sum(drawn) / count
    off = [value - middle for value in drawn]
    squares = sum(value * value for value in off)
    scale = max(math.sqrt(squares / (count - 1)), finest)
    shared = sum(a * b for a, b in pairwise(off)) / max(squares, finest**2)
    shared = min(max(shared - 1 / math.sqrt(count), 0.0), 0.9)
    scaled = [value / scale for value in off]
    return Scores(
        middle=middle,
        low=low,
        high=high,
        noise=scale,
        scale=scale * math.sqrt((1 + 1 / count) * (1 + shared) / (1 - shared)),
        costs={
            (step, sign): _cost(step, [sign * value for value in scaled])
            for step in (QUICK, PATIENT)
            for sign in (1, -1)
        },
    )


def _cost(step: float, scaled: Sequence[float]) -> float:
    normal = step * step / 2
    total = sum(map(math.exp, [step * value for value in scaled])) + _PRIOR * math.exp(normal)
    return max(math.log(total / (len(scaled) + _PRIOR)), 0.95 * normal)
