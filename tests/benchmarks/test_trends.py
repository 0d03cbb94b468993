# SPDX-License-Identifier: Apache-2.0
"""The number of runs until a step is found, by the bound, by bsdgate and by others; and the time.

All have the same rate of false alarms: at most 1 % of series of 365 points of normal noise raise an
alarm when each point is judged as it arrives. ``BSDGATE_BENCH_SERIES`` is the number of series, by
default 5,000. Otava and ruptures run again at each point; they are tuned on ``BSDGATE_BENCH_QUIET``
(1,000) years at each fifth point only, which improves their results.
"""

import math
import os
import random
import time
from collections.abc import Sequence
from functools import partial

import pytest
from campaign import noise
from campaign.peers import Peers, make_peers

from bsdgate.results import passrate
from bsdgate.results.passrate import Counts, FailureHistory
from bsdgate.results.trends import follow

SERIES = int(os.environ.get("BSDGATE_BENCH_SERIES", "5000"))
QUIET = int(os.environ.get("BSDGATE_BENCH_QUIET", "1000"))
AFTER, LENGTH, STRIDE = 60, 40, 5
KINDS = ("normal", "t, 3 degrees", "outliers", "AR(1) 0.4")
PENALTIES = (20, 25, 30, 35, 40, 50)


def show(what: str, value: str) -> None:
    print(f"  {what:58} {value}")


@pytest.fixture(scope="module")
def peers(uv: str, tmp_path_factory: pytest.TempPathFactory) -> Peers:
    return make_peers(uv, tmp_path_factory.mktemp("peers"))


def row(label: str, delays: Sequence[float | None]) -> None:
    found = sorted(each for each in delays if each is not None)
    middle, most = noise.quantile(found, 0.5), noise.quantile(found, 0.9)
    show(label, f"median {middle:3.0f}  p90 {most:3.0f}")


def quiet_years(kind: str) -> list[list[float]]:
    return [
        noise.seconds(noise.NOISES[kind](random.Random(f"{noise.SEED} quiet {kind} {year}"), 365))
        for year in range(QUIET)
    ]


def false_alarms(peers: Peers, peer: str, limit: float, years: list[list[float]]) -> float:
    alarms = peers.ask(peer, years, ask="online", limit=limit, stride=STRIDE)
    return float(sum(alarms) / len(years))


def tune(peers: Peers, years: list[list[float]]) -> dict[str, float]:
    """Return the p-value and the penalty at which 1 % of the years raise an alarm."""
    least = peers.ask("otava", years, ask="least", stride=STRIDE)
    pvalue = sorted(least)[max(len(years) // 100 - 1, 0)]
    for penalty in PENALTIES:
        if false_alarms(peers, "ruptures", penalty, years) <= 0.01:
            break
    return {"otava": pvalue, "ruptures": penalty}


@pytest.mark.downloads
def test_runs_until_a_step_of_ten_percent_is_found(peers: Peers) -> None:
    print(f"\n  {SERIES} series, 10 % after {AFTER} points in 5 % noise, seed {noise.SEED}")
    limit = noise.quantile(noise.each(noise.bound_peak, SERIES), 0.99)
    row("normal: level and deviation known", noise.each(partial(noise.bound_delay, limit), SERIES))
    limits = tune(peers, quiet_years("normal"))
    for kind in KINDS:
        row(f"{kind}: ours", noise.each(partial(noise.delay, kind, AFTER, noise.STEP), SERIES))
        series = [noise.stepped(kind, AFTER, number, length=LENGTH) for number in range(SERIES)]
        years = quiet_years(kind)[: QUIET // 4]
        for peer, limit in limits.items():
            found = peers.ask(peer, series, ask="delay", limit=limit, after=AFTER)
            row(f"{kind}: {peer} at {limit:.2g}", [each or math.inf for each in found])
            show("  its years with a false alarm", f"{false_alarms(peers, peer, limit, years):.1%}")


def test_seconds_for_a_suite() -> None:
    rng = random.Random(noise.SEED)
    years = [noise.series(noise.seconds(noise.normal(rng, 365))) for _ in range(100)]
    began = time.perf_counter()
    for year in years:
        follow(year)
    each = (time.perf_counter() - began) / len(years)
    print()
    show("a year of one test, 365 points", f"{each * 1000:6.1f} ms")
    show("a year of a suite of 1,445 tests, on one core", f"{each * 1445:6.1f} s")


def test_seconds_for_the_gate() -> None:
    rng = random.Random(noise.SEED)
    records = [
        FailureHistory(f"t{number}", [rng.random() < 0.05 for _ in range(15)], Counts(100, 2000))
        for number in range(1445)
    ]
    began = time.perf_counter()
    passrate.gate(records, len(records))
    print()
    show("gate of 1,445 tests", f"{(time.perf_counter() - began) * 1000:6.1f} ms")
