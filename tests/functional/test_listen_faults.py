# SPDX-License-Identifier: Apache-2.0
"""Some schedules of the campaign of listeners: in each, another disturbance is added."""

from functools import partial
from pathlib import Path

import pytest
from functional import mosquitto
from functional.gerrit import Gerrit
from listening.campaign import Campaign
from listening.plan import DISTURBANCES

# The first test may make the site of Gerrit, which takes minutes on a busy machine.
pytestmark = pytest.mark.timeout(600)

AT_ONCE = 6


def test_each_buildset_gets_one_review_or_is_superseded(server: Gerrit, tmp_path: Path) -> None:
    try:
        mosquitto.find()
    except mosquitto.Missing as missing:
        pytest.skip(str(missing))
    assert (
        Campaign(server, tmp_path, AT_ONCE, partial(print, flush=True)).run(
            range(len(DISTURBANCES))
        )
        == []
    )
