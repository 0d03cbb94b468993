# SPDX-License-Identifier: Apache-2.0
"""The figures of the trends: false alarms in a year of noise, runs until a step is found.

``BSDGATE_CAMPAIGN_SERIES`` chooses another number of series than 5,000; the unit tests use the
same code on a few. Seeds are fixed and printed.
"""

import math
import os
import random
from functools import partial

import pytest
from campaign import noise
from campaign.peers import Peers, make_peers

from bsdgate.results.trends import Movement, Thresholds, follow

SERIES = int(os.environ.get("BSDGATE_CAMPAIGN_SERIES", "5000"))
WHOLE = SERIES >= 5000
# The maximum share of years with an alarm, with the printed seeds.
PROMISED = {"normal": 0.01, "AR(1) 0.2": 0.02, "AR(1) 0.4": 0.025, "AR(1) 0.6": 0.02}
# The same for other noise, which may exceed it by chance.
AIM = 0.01


def show(what: str, value: str) -> None:
    print(f"  {what:46} {value}")


def share(kind: str, thresholds: Thresholds) -> float:
    return sum(noise.each(partial(noise.raises_any, kind, thresholds), SERIES)) / SERIES


@pytest.mark.parametrize("kind", noise.NOISES)
def test_a_year_of_noise_raises_few_alarms(kind: str) -> None:
    bare, usual = share(kind, noise.ANY), share(kind, Thresholds())
    show(
        f"{kind}: series of 365 with any alarm",
        f"{bare:6.2%} {usual:6.2%} with the usual thresholds  ({SERIES} series, seed {noise.SEED})",
    )
    most = PROMISED.get(kind, AIM)
    by_chance = 3 * math.sqrt(most * (1 - most) / SERIES)
    assert bare <= most + (0 if WHOLE and kind in PROMISED else by_chance)


def describe(found: list[float | None]) -> str:
    delays = [each for each in found if each is not None]
    middle, most = noise.quantile(delays, 0.5), noise.quantile(delays, 0.9)
    return f"median {middle:3.0f}, p90 {most:3.0f}  ({len(found) - len(delays)} alarms before it)"


@pytest.mark.parametrize("after", [60, 120, 240])
@pytest.mark.parametrize("kind", ["normal", "t, 3 degrees", "outliers", "spikes", "AR(1) 0.4"])
@pytest.mark.parametrize("step", [0.10, -0.10])
def test_a_step_is_found_soon(kind: str, after: int, step: float) -> None:
    found = noise.each(partial(noise.delay, kind, after, step), SERIES)
    show(f"{kind}: runs from a step of {step:+.0%} after {after} points", describe(found))
    delays = [each for each in found if each is not None]
    if kind == "normal" and WHOLE:
        assert noise.quantile(delays, 0.5) <= 6
        assert noise.quantile(delays, 0.9) <= 11


@pytest.mark.parametrize("kind", [kind for kind in noise.NOISES if kind.startswith("AR")])
def test_a_clear_step_in_correlated_noise_is_found_soon(kind: str) -> None:
    found = noise.each(partial(noise.delay, kind, 80, 0.30), SERIES)
    show(f"{kind}: runs from a step of +30% after 80 points", describe(found))
    delays = [each for each in found if each is not None]
    if WHOLE:
        assert noise.quantile(delays, 0.5) <= 4
        assert noise.quantile(delays, 0.9) <= 5


def test_the_bound_for_known_parameters_is_five_runs() -> None:
    peaks = noise.each(noise.bound_peak, SERIES)
    limit = noise.quantile(peaks, 0.99)
    bound = noise.each(partial(noise.bound_delay, limit), SERIES)
    show("level and deviation known (CUSUM)", describe(bound))
    delays = [each for each in bound if each is not None]
    if WHOLE:
        assert (noise.quantile(delays, 0.5), noise.quantile(delays, 0.9)) == (5, 8)


@pytest.fixture(scope="module")
def peers(uv: str, tmp_path_factory: pytest.TempPathFactory) -> Peers:
    return make_peers(uv, tmp_path_factory.mktemp("peers"))


@pytest.mark.downloads
def test_otava_finds_the_same_changes(peers: Peers) -> None:
    """Another method as an oracle: a clear step is found at the same position."""
    rng = random.Random(noise.SEED)
    steps = [rng.choice([-0.4, -0.3, 0.3, 0.5]) for _ in range(200)]
    series = [noise.stepped("normal", 80, number, step) for number, step in enumerate(steps)]
    theirs = peers.ask("otava", series, ask="changes", limit=1e-5)
    near = 0
    for step, values, places in zip(steps, series, theirs, strict=True):
        changes = follow(noise.series(values)).changes
        assert [change.kind for change in changes] == [
            Movement.REGRESSION if step > 0 else Movement.IMPROVEMENT
        ]
        place = int(changes[0].since.run_id)
        near += any(abs(place - each) <= 1 for each in places)
    show("plain steps that Otava puts in the same place", f"{near} of {len(steps)}")
    assert near >= 0.98 * len(steps)


@pytest.mark.downloads
def test_otava_finds_few_changes_in_series_without_a_change(peers: Peers) -> None:
    """In series without a change here, Otava in its strict setting finds few changes, too."""
    rng = random.Random(noise.SEED)
    series = [noise.seconds(noise.normal(rng, 120)) for _ in range(200)]
    ours = [bool(noise.alarms(values)) for values in series]
    theirs = list(map(bool, peers.ask("otava", series, ask="changes", limit=1e-5)))
    show("quiet series with a change (ours, Otava)", f"{sum(ours)}, {sum(theirs)} of 200")
    assert sum(ours) <= 6
    assert sum(theirs) <= 6
