# SPDX-License-Identifier: Apache-2.0
"""The whole suite smoke against a cloud that is there already, with 50 resources of others."""

import json

import pytest
from functional import foreign
from functional.place import Place, UpCloud
from functional.run_folder import runs
from functional.sdk import connected


@pytest.mark.filterwarnings("ignore")
def test_smoke_passes_and_nothing_of_others_differs_by_a_byte(place: Place) -> None:
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
