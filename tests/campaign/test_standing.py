# SPDX-License-Identifier: Apache-2.0
"""The whole suite smoke against a standing cloud with 50 resources of other users."""

import json

import pytest
from functional import foreign
from functional.place import Place, UpCloud
from functional.run_folder import runs
from functional.sdk import connected


@pytest.mark.filterwarnings("ignore")
def test_smoke_passes_and_resources_of_others_are_identical(place: Place) -> None:
    up = place.bsdgate("up", "--name", "theirs")
    assert up.code == 0, up
    with connected(UpCloud(place, "theirs")) as client:
        paths = foreign.fill(client)
        assert len(paths) >= 50
        before = foreign.contents(client, paths)
        done = place.bsdgate("run", "--cloud", "theirs")
        print(f"smoke on a standing cloud: {done.seconds:.1f} s")
        assert done.code == 0, done
        assert json.dumps(foreign.contents(client, paths)) == json.dumps(before)
    assert runs(place)[-1].read("audit.json") == {"differences": [], "left": []}
