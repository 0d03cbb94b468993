# SPDX-License-Identifier: Apache-2.0
"""Five hundred schedules in which a listener works through faults, restarts, kills and races.

The first seed is random. ``BSDGATE_LISTEN_SEED`` repeats the schedule of one seed, or of several
with commas between; ``BSDGATE_LISTEN_TRIALS`` chooses another number. CI carries out a few of them
in ``tests/functional``.
"""

import os
import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from functional import gerrit
from functional.gerrit import Gerrit
from listening.campaign import Campaign

TRIALS = int(os.environ.get("BSDGATE_LISTEN_TRIALS", "500"))
FIRST = random.SystemRandom().randrange(1_000_000)
CHOSEN = [int(seed) for seed in os.environ.get("BSDGATE_LISTEN_SEED", "").split(",") if seed]
SEEDS = CHOSEN or list(range(FIRST, FIRST + TRIALS))
AT_ONCE = 24


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[Gerrit]:
    home = gerrit.find(request.config.rootpath / ".tox" / "gerrit")
    with gerrit.serving(home) as running:
        yield running


def test_each_buildset_gets_one_review_or_is_superseded(server: Gerrit, tmp_path: Path) -> None:
    assert Campaign(server, tmp_path, AT_ONCE, partial(print, flush=True)).run(SEEDS) == []
    assert gerrit.CI[1] not in server.log.read_text()
