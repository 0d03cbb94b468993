# SPDX-License-Identifier: Apache-2.0
"""Five hundred trials in which reviews are posted through faults, races, restarts and kills.

The first seed is random. ``BSDGATE_VOTES_SEED`` repeats the trial of one seed, or of several with
commas between; ``BSDGATE_VOTES_TRIALS`` chooses another number. CI carries out a few trials in
``tests/functional``.
"""

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue

import pytest
from functional import gerrit
from functional.gerrit import Gerrit
from votes.forking import Forker
from votes.plan import plan
from votes.trial import Trial, poster

TRIALS = int(os.environ.get("BSDGATE_VOTES_TRIALS", "500"))
FIRST = random.SystemRandom().randrange(1_000_000)
CHOSEN = [int(seed) for seed in os.environ.get("BSDGATE_VOTES_SEED", "").split(",") if seed]
SEEDS = CHOSEN or list(range(FIRST, FIRST + TRIALS))
AT_ONCE = 6


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[Gerrit]:
    home = gerrit.find(request.config.rootpath / ".tox" / "gerrit")
    with gerrit.serving(home) as running:
        yield running


def test_each_review_is_posted_once_or_is_superseded(server: Gerrit, tmp_path: Path) -> None:
    posters: SimpleQueue[Forker] = SimpleQueue()
    began, events = time.monotonic(), Counter[str]()
    print(f"\n{len(SEEDS)} trials from seed {SEEDS[0]}")

    def run(seed: int) -> list[str]:
        folder = tmp_path / str(seed)
        folder.mkdir()
        forker = posters.get()
        trial = Trial(plan(seed), server, folder, forker)
        problems = trial.run()
        posters.put(forker)
        events["reviews"] += sum(len(change.reviews) for change in trial.changes)
        events["starts"] += trial.starts
        events["faults"] += sum(map(len, trial.plan.faults.values()))
        return problems

    with ExitStack() as stack:
        for _ in range(AT_ONCE):
            posters.put(stack.enter_context(poster()))
        pool = stack.enter_context(ThreadPoolExecutor(AT_ONCE))
        # Pydantic makes its types at the first use, which several threads must not do together.
        problems = run(SEEDS[0])
        problems += [problem for found in pool.map(run, SEEDS[1:]) for problem in found]
    print(f"{dict(events)} in {time.monotonic() - began:.0f} s; problems: {len(problems)}")
    assert problems == []
    assert gerrit.CI[1] not in server.log.read_text()
