# SPDX-License-Identifier: Apache-2.0
"""Measures the difference between the clock of a node and the clock of this machine, as NTP does.

The node reads its clock at an unknown moment of a round trip. The mean of the begin and the end of
the round trip is the best estimate of this moment, and half of the round trip is the maximum error.
"""

import time
from collections.abc import Callable
from typing import Final

from bsdgate.harness.manifest import ClockDifference

ROUND_TRIPS: Final = 8
"""The number of round trips; the shortest one has the smallest error."""


def difference(read: Callable[[], float]) -> ClockDifference:
    """Return the difference; ``read`` returns the time of the node in seconds since 1970.

    :raises NodeLostError: the node does not answer.
    """
    measured = (_measure(read) for _ in range(ROUND_TRIPS))
    return min(measured, key=lambda one: one.uncertainty)


def _measure(read: Callable[[], float]) -> ClockDifference:
    began, start = time.time(), time.monotonic()
    there = read()
    half = (time.monotonic() - start) / 2
    return ClockDifference(seconds=round(there - began - half, 6), uncertainty=round(half, 6))
