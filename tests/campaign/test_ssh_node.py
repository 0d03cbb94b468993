# SPDX-License-Identifier: Apache-2.0
"""The main job on a node over ssh, compared with this machine."""

from collections.abc import Iterator

import pytest
from functional import sshd as servers
from functional.place import Place
from functional.run_folder import runs
from functional.sshd import Sshd


@pytest.fixture(scope="module")
def sshd() -> Iterator[Sshd]:
    with servers.serving() as sshd:
        yield sshd


def test_smoke_passes_on_a_node_over_ssh(
    place: Place, sshd: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", sshd.path)
    ids = {}
    for where, arguments in {"here": (), "there": ("--on", sshd.url)}.items():
        # The first run of each builds the templates.
        for _ in range(2):
            done = place.bsdgate("run", *arguments)
            verdict = runs(place)[-1].verdict
            print(f"{where:5}: {verdict['result']} {verdict['counts']} {done.seconds:.1f} s")
            assert (done.code, verdict["result"]) == (0, "PASS"), done
        tests = runs(place)[-1].asked("02-tempest")
        ids[where] = sorted(tests)
    assert ids["here"] == ids["there"]
    place.wait_until_empty()
    assert not sshd.processes()
