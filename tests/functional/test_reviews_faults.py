# SPDX-License-Identifier: Apache-2.0
"""Some trials of the campaign of reviews: in each, another fault is the first one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from functional.gerrit import Gerrit
from votes.forking import Forker
from votes.plan import POSTS, plan
from votes.trial import Trial, poster

# The first test may make the site of Gerrit, which takes minutes on a busy machine.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def forker() -> Iterator[Forker]:
    with poster() as found:
        yield found


@pytest.mark.parametrize("seed", range(len(POSTS)))
def test_a_trial_ends_with_one_review_each(
    server: Gerrit, forker: Forker, tmp_path: Path, seed: int
) -> None:
    assert Trial(plan(seed), server, tmp_path, forker).run() == []
