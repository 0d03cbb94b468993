# SPDX-License-Identifier: Apache-2.0
"""The main job twenty times in a row, and fifty resets: all pass, and nothing is left.

``BSDGATE_CAMPAIGN_RUNS`` and ``BSDGATE_CAMPAIGN_RESETS`` choose other sizes; CI
runs the main job once, and a few resets in ``tests/functional``.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from bsdgate.harness.cloud.client import Cloud

RUNS = int(os.environ.get("BSDGATE_CAMPAIGN_RUNS", "20"))
RESETS = int(os.environ.get("BSDGATE_CAMPAIGN_RESETS", "50"))
COMMAND = Path(sys.executable).with_name("bsdgate")


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("BSDGATE_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("BSDGATE_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path


def strays(place: Path) -> list[str]:
    """Processes that work in, or were told of, anything below ``place``."""
    found = []
    for each in psutil.process_iter(["cmdline", "cwd"]):
        told = " ".join([*(each.info["cmdline"] or ()), each.info["cwd"] or ""])
        if str(place) in told and each.pid != os.getpid():
            found.append(f"{each.pid}: {told}")
    return found


def files(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*")}


def test_smoke_in_a_row(place):
    home = Path(os.environ["HOME"])
    before = files(home)
    results = []
    for number in range(RUNS):
        began = time.monotonic()
        done = subprocess.run([COMMAND, "run"], check=False, capture_output=True, text=True)
        runs = sorted((place / "state" / "runs").iterdir(), key=lambda path: path.stat().st_mtime)
        verdict = json.loads((runs[-1] / "report" / "verdict.json").read_text())
        seconds = time.monotonic() - began
        print(f"run {number + 1:2}: {verdict['result']} {verdict['counts']} {seconds:.1f} s")
        assert strays(place) == []
        assert not any(path.name == "data" for path in (runs[-1]).glob("cloud/*"))
        results.append((verdict["result"], done.returncode))
    assert results == [("PASS", 0)] * RUNS
    assert files(home) == before
    assert {path.name for path in (place / "state").iterdir()} == {"runs"}


def test_resets_in_a_row_then_smoke(place):
    cloud = Cloud.start(
        place / "cloud",
        name="campaign",
        python=Path(sys.executable),
        templates=place / "cache" / "templates",
    )
    try:
        seconds = []
        for _ in range(RESETS):
            began = time.monotonic()
            cloud.reset()
            seconds.append(time.monotonic() - began)
            assert cloud.status()["state"] == "ready"
        median = sorted(seconds)[RESETS // 2]
        print(f"{RESETS} resets: median {median:.2f} s, most {max(seconds):.2f} s")
    finally:
        cloud.stop()
    assert strays(place) == []
    done = subprocess.run([COMMAND, "run"], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
