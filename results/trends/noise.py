# SPDX-License-Identifier: Apache-2.0
"""Estimates a level and its noise from a reference: the points known to be at the level."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

QUICK, PATIENT = 2.0, 0.8
"""The sizes of shift, in standard deviations of the noise, that the CUSUMs are tuned to detect."""

FINEST = 0.002
"""The minimum noise, as a fraction of the level: no clock or machine is more exact."""

_CLIP = 2.75
_PRIOR = 60
_NORMAL_MAD = 1.4826
# Prevents a division by 0 if the values do not vary; a sum of squared deviations.
_SPECK = 1e-9


@dataclass(frozen=True, slots=True)
class Scores:
    """The parameters of a level and its noise, estimated from a reference.

    A value below ``low`` or above ``high`` counts as that bound. ``shared`` is the lag-1
    autocorrelation, 0 if it is negative. ``costs`` are what each CUSUM subtracts at every point
    (see ``learn``).
    """

    middle: float
    low: float
    high: float
    noise: float
    scale: float
    shared: float
    costs: dict[tuple[float, int], float]

    def of(self, value: float, moved: float = 0.0) -> float:
        """Return the distance of ``value`` from the level in standard deviations.

        ``value`` is first limited to the bounds, which are shifted by ``moved`` seconds.
        """
        return (min(max(value, self.low + moved), self.high + moved) - self.middle) / self.scale


def learn(reference: Sequence[float]) -> Scores:
    """Return the level, the noise, and the cost that each step of a CUSUM subtracts.

    Values outside the bounds are clipped before mean and deviation are computed, so outliers have
    little effect. The cost makes the mean of exp(step) over the reference 1, so that noise with a
    longer tail has a higher cost. The prior of this mean is the mean for normal noise.
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
    scaled = [value / scale for value in off]
    return Scores(
        middle=middle,
        low=low,
        high=high,
        noise=scale,
        scale=scale * math.sqrt(1 + 1 / count),
        shared=max(shared, 0.0),
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


def sureness(scores: Sequence[float], place: int) -> float:
    """Return Student's t of a shift of the scores at ``place``; 0 if the scores do not vary.

    A least-squares fit explains each score by the score before it and by the shift, so that
    autocorrelation is not mistaken for a shift.
    """
    count, moved = len(scores) - 1, len(scores) - place
    now, last = _centred(scores[1:]), _centred(scores[:-1])
    now_now, now_last = _product(now, now), _product(now, last)
    last_last = _product(last, last) + _SPECK
    # The regressor of the shift is 0 before ``place``, and 1 from there on.
    now_move, last_move, move_move = sum(now[-moved:]), sum(last[-moved:]), moved - moved**2 / count
    whole = last_last * move_move - last_move**2
    move = (now_move * last_last - now_last * last_move) / whole
    echo = (now_last * move_move - now_move * last_move) / whole
    left = max(now_now - move * now_move - echo * now_last, _SPECK)
    return move / math.sqrt(left / (count - 3) * last_last / whole)


def _centred(values: Sequence[float]) -> list[float]:
    middle = sum(values) / len(values)
    return [value - middle for value in values]


def _product(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))
