# SPDX-License-Identifier: Apache-2.0
"""Forty runs in which a process is killed, ended or stopped: none passes falsely.

The first seed is random. ``BSDGATE_KILLS_SEED`` repeats the trial of one seed, or of several with
commas between; ``BSDGATE_KILLS_TRIALS`` chooses another number. CI carries out three trials in
``tests/functional``.
"""

import os
import random
from collections import Counter
from collections.abc import Iterator

import pytest
from functional.place import Place
from kills.family import Reaper
from kills.schedule import MOMENTS, plan
from kills.trials import Bench, Outcome

TRIALS = int(os.environ.get("BSDGATE_KILLS_TRIALS", "40"))
FIRST = random.SystemRandom().randrange(160)
CHOSEN = [int(seed) for seed in os.environ.get("BSDGATE_KILLS_SEED", "").split(",") if seed]
SEEDS = CHOSEN or list(range(FIRST, FIRST + TRIALS))
WHOLE_EACH = 5


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    root = tmp_path_factory.mktemp("place")
    with Reaper() as reaper:
        place = Place(root, root / "cache")
        bench = Bench(place, reaper)
        problems = bench.whole_run()
        assert not problems, "\n".join(problems)
        print(f"\n{len(SEEDS)} trials from seed {SEEDS[0]}; seconds of a run: {bench.seconds}")
        yield bench
        place.close()


@pytest.fixture(scope="module")
def outcomes() -> Iterator[list[Outcome]]:
    found: list[Outcome] = []
    yield found
    bad = [each.trial.seed for each in found if each.problems]
    ends = Counter(each.result or "no verdict" for each in found)
    seconds = sum(each.seconds for each in found)
    print(f"\n{len(found)} trials in {seconds:.0f} s: {dict(ends)}; with problems: {bad}")


def test_forty_trials_hit_each_target_of_each_step() -> None:
    hit = {(seed % len(MOMENTS), plan(seed).target) for seed in range(FIRST, FIRST + 40)}
    assert len(hit) == 40
    assert hit == {(row, target) for row, moment in enumerate(MOMENTS) for target in moment.targets}


def test_all_signals_hit_each_target_of_each_step_in_160_trials() -> None:
    trials = [plan(seed) for seed in range(FIRST, FIRST + 160)]
    assert len({(each.seed % len(MOMENTS), each.target, each.signal) for each in trials}) == 160


@pytest.mark.parametrize("seed", SEEDS)
def test_a_signal_causes_no_false_pass_and_leaves_nothing(
    bench: Bench, outcomes: list[Outcome], seed: int
) -> None:
    outcome = bench.carry_out(plan(seed))
    outcomes.append(outcome)
    if len(outcomes) % WHOLE_EACH == 0 or seed == SEEDS[-1]:
        outcome.problems += bench.whole_run()
    print(f"\n{outcome}")
    assert outcome.problems == []
