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
# What keeps a division away from nought where nothing varies, in deviations squared.
_SPECK = 1e-9


@dataclass(frozen=True, slots=True)
class Scores:
    """What a level and its noise look like, learned from the points of a reference.

    ``shared`` is what neighbours have in common: their correlation, nought if it is negative.
    """

    middle: float
    low: float
    high: float
    noise: float
    scale: float
    shared: float
    costs: dict[tuple[float, int], float]

    def of(self, value: float, moved: float = 0.0) -> float:
        """How many standard deviations ``value`` is off the level, within bounds.

        The bounds are those around the level, or ``moved`` seconds from there.
        """
        return (min(max(value, self.low + moved), self.high + moved) - self.middle) / self.scale


def learn(reference: Sequence[float]) -> Scores:
    """Level, spread and price of each sum's step.

    The tails are drawn in before mean and deviation are taken, so outliers count little. A sum's
    price for each step is what makes exp(step) one on average over the reference, so that a skewed
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
    """How sure it is that the scores moved at ``place``, in standard errors of the move.

    Each score is explained by the one before it and by whether the move has come, and least
    squares tell how much by which: an echo of the score before is no move. It is Student's t of
    the move; 0 if nothing varies.
    """
    count, moved = len(scores) - 1, len(scores) - place
    now, last = _centred(scores[1:]), _centred(scores[:-1])
    now_now, now_last = _product(now, now), _product(now, last)
    last_last = _product(last, last) + _SPECK
    # The move is a row of noughts, then of ones.
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
