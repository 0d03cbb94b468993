# SPDX-License-Identifier: Apache-2.0
"""The main job passes twenty times in a row, and on a cloud after fifty resets.

``BSDGATE_CAMPAIGN_RUNS`` and ``BSDGATE_CAMPAIGN_RESETS`` choose other sizes; CI
runs the main job once, and a few resets in ``tests/functional``.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from functional.place import Place

RUNS = int(os.environ.get("BSDGATE_CAMPAIGN_RUNS", "20"))
RESETS = int(os.environ.get("BSDGATE_CAMPAIGN_RESETS", "50"))


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
    assert place.stray_files() == []
    assert {path.name for path in place.state.iterdir()} == {"history.sqlite", "runs"}


def test_smoke_passes_on_a_cloud_after_many_resets(place: Place) -> None:
    program = Path(__file__).with_name("reset_and_run.py")
    done = place.start(sys.executable, program, str(RESETS)).done(timeout=1800)
    print(f"\n{done}")
    assert done.code == 0, done
    assert newest_verdict(place)["result"] == "PASS"
    place.wait_until_empty()
