# SPDX-License-Identifier: Apache-2.0
"""The difference between the clock of a node and the clock of this machine."""

import time
from collections.abc import Callable

import pytest

from bsdgate.harness.nodes import clock


class World:
    """Simulated clocks: a call to the node takes ``trips`` seconds there and back."""

    def __init__(
        self, patch: pytest.MonkeyPatch, ahead: float, *trips: tuple[float, float]
    ) -> None:
        self.now = 1000.0
        self.ahead = ahead
        self.trips = list(trips)
        patch.setattr(time, "time", lambda: self.now)
        patch.setattr(time, "monotonic", lambda: self.now)

    def read(self) -> float:
        there, back = self.trips.pop(0) if len(self.trips) > 1 else self.trips[0]
        self.now += there
        found = self.now + self.ahead
        self.now += back
        return found


Make = Callable[..., World]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Make:
    return lambda ahead, *trips: World(monkeypatch, ahead, *trips)


@pytest.mark.parametrize("ahead", [0.0, 3600.0, -12.5])
def test_equal_ways_have_no_error(world: Make, ahead: float) -> None:
    found = clock.difference(world(ahead, (0.25, 0.25)).read)
    assert found.seconds == pytest.approx(ahead)
    assert found.uncertainty == pytest.approx(0.25)


@pytest.mark.parametrize("trip", [(0.0, 2.0), (2.0, 0.0), (0.5, 1.5)])
def test_the_error_is_at_most_the_uncertainty(world: Make, trip: tuple[float, float]) -> None:
    found = clock.difference(world(5.0, trip).read)
    assert abs(found.seconds - 5.0) <= found.uncertainty == pytest.approx(1.0)


def test_the_shortest_round_trip_is_used(world: Make) -> None:
    found = clock.difference(world(5.0, (3.0, 0.0), (0.01, 0.01), (0.0, 4.0)).read)
    assert found.seconds == pytest.approx(5.0)
    assert found.uncertainty == pytest.approx(0.01)
