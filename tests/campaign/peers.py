# SPDX-License-Identifier: Apache-2.0
"""Two other change-point detectors, Apache Otava and ruptures, in an environment of their own.

Otava pins another numpy than OpenStack does. ``BSDGATE_OTAVA_PYTHON`` names an interpreter that
has both; else one is made with uv. If that fails without a package index, the tests are skipped.
"""

import json
import os
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

GIVEN = os.environ.get("BSDGATE_OTAVA_PYTHON")
# The imports of its analysis; its requirements also contain database and chat clients.
NEEDS = ("apache-otava==0.8.0", "numpy==2.2.0", "scipy==1.16.3", "ruptures==1.1.10")
CHILD = Path(__file__).with_name("peers_child.py")


@dataclass(frozen=True)
class Peers:
    """Both detectors, run by one interpreter."""

    python: str

    def ask(self, peer: str, series: Sequence[Sequence[float]], **question: Any) -> list[Any]:
        halves = [series[: len(series) // 2], series[len(series) // 2 :]]
        with ThreadPoolExecutor(2) as pool:
            answers = pool.map(lambda half: self._ask(peer, half, question), halves)
            return [answer for half in answers for answer in half]

    def _ask(self, peer: str, series: Sequence[Sequence[float]], question: Any) -> list[Any]:
        asked = json.dumps({"peer": peer, "series": series, **question})
        done = subprocess.run(
            [self.python, str(CHILD)], input=asked, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        answers: list[Any] = json.loads(done.stdout)
        return answers


def make_peers(uv: str, folder: Path) -> Peers:
    """Install the detectors, or use the given interpreter; skip the test if neither is possible."""
    if GIVEN:
        return Peers(GIVEN)
    python = str(folder / "otava" / "bin" / "python")
    for argv in (
        [uv, "venv", "--quiet", "--python", "3.11", str(folder / "otava")],
        [uv, "pip", "install", "--quiet", "--no-deps", "--python", python, *NEEDS],
    ):
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"Otava cannot be installed here: {done.stderr.strip().splitlines()[-1]}")
    return Peers(python)
