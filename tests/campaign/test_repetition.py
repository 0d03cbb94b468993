# SPDX-License-Identifier: Apache-2.0
"""The main job twenty times in a row, and on a cloud that was reset fifty times: all pass.

``BSDGATE_CAMPAIGN_RUNS`` and ``BSDGATE_CAMPAIGN_RESETS`` choose other sizes; CI
runs the main job once, and a few resets in ``tests/functional``.
"""

import json
import os
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from functional.place import Place

from bsdgate.harness import pipeline
from bsdgate.harness.cloud.client import Cloud

RUNS = int(os.environ.get("BSDGATE_CAMPAIGN_RUNS", "20"))
RESETS = int(os.environ.get("BSDGATE_CAMPAIGN_RESETS", "50"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    root = tmp_path_factory.mktemp("place")
    place = Place(root, root / "cache")
    yield place
    place.close()


def newest_verdict(place: Place) -> dict[str, Any]:
    runs = sorted((place.state / "runs").iterdir(), key=lambda path: path.stat().st_mtime)
    found: dict[str, Any] = json.loads((runs[-1] / "report" / "verdict.json").read_text())
    assert not (runs[-1] / "cloud").exists()
    return found


@pytest.mark.parametrize("number", range(1, RUNS + 1))
def test_smoke_in_a_row(place: Place, number: int) -> None:
    done = place.bsdgate("run")
    verdict = newest_verdict(place)
    print(f"run {number:2}: {verdict['result']} {verdict['counts']} {done.seconds:.1f} s")
    assert (done.code, verdict["result"]) == (0, "PASS"), done
    place.wait_until_empty()
    assert place.litter() == []
    assert {path.name for path in place.state.iterdir()} == {"runs"}


class Resetting:
    """The cloud's own step, and then reset upon reset."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.memory: list[int] = []

    def deploy(self, run: pipeline.Run) -> None:
        pipeline.deploy(run)
        assert run.cloud is not None
        for _ in range(RESETS):
            began = time.monotonic()
            run.cloud.reset()
            self.seconds.append(time.monotonic() - began)
            self.memory.append(resident(run.cloud))
            assert run.cloud.status()["state"] == "ready"


def resident(cloud: Cloud) -> int:
    supervisor = psutil.Process(cloud.status()["pid"])
    tree = [supervisor, *supervisor.children(recursive=True)]
    return sum(each.memory_info().rss for each in tree)


class Silent:
    """Hears of a run and keeps it to itself."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


def test_smoke_passes_on_a_cloud_that_was_reset_again_and_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BSDGATE_STATE_DIR", str(place.state))
    monkeypatch.setenv("BSDGATE_CACHE_DIR", str(place.cache))
    resetting = Resetting()
    monkeypatch.setattr(pipeline, "STEPS", (resetting.deploy, *pipeline.STEPS[1:]))
    verdict, failure = pipeline.carry_out(pipeline.begin(pipeline.Options(), Silent()))
    median = sorted(resetting.seconds)[RESETS // 2]
    first, last = resetting.memory[0] / 2**20, resetting.memory[-1] / 2**20
    print(f"{RESETS} resets: median {median:.2f} s, most {max(resetting.seconds):.2f} s")
    print(f"resident memory after the first {first:.0f} MiB, after the last {last:.0f} MiB")
    assert (str(verdict.result), failure) == ("PASS", None)
    place.wait_until_empty()
