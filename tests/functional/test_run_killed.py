# SPDX-License-Identifier: Apache-2.0
"""Runs with a process that is killed, ended or stopped: three of the campaign's 160 trials.

``tests/campaign/test_kills.py`` carries out the others.
"""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from functional.place import Place
from kills.family import Reaper
from kills.schedule import PAIR, Trial, plan
from kills.trials import Bench

pytestmark = pytest.mark.timeout(300)

LOST_PARENT, LOST_WORKER, LOST_HARNESS = plan(50), plan(4), plan(152)
DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print(os.getpid(), flush=True)
        time.sleep(600)
else:
    os.wait()
"""


@pytest.fixture(scope="module")
def reaper() -> Iterator[Reaper]:
    with Reaper() as reaper:
        yield reaper


@pytest.fixture(scope="module")
def bench(place: Place, reaper: Reaper) -> Bench:
    return Bench(place, reaper)


def test_a_daemon_in_another_session_is_found_and_ended(reaper: Reaper) -> None:
    with subprocess.Popen([sys.executable, "-c", DAEMON], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        daemon = int(parent.stdout.readline())
        parent.wait(20)
        (left,) = reaper.left(0)
        assert left.startswith(f"{daemon} (sleeping)")
        reaper.kill()
    assert reaper.living() == []


@pytest.mark.parametrize("trial", [LOST_PARENT, LOST_WORKER], ids=str)
def test_signal_causes_no_false_pass_and_leaves_no_process(bench: Bench, trial: Trial) -> None:
    outcome = bench.carry_out(trial)
    assert outcome.problems == [], str(outcome)
    assert (outcome.code, outcome.result) == (3, "ERROR"), str(outcome)


def test_run_can_be_resumed_after_harness_and_guard_are_killed_together(bench: Bench) -> None:
    assert (LOST_HARNESS.target, LOST_HARNESS.signal.name) == (PAIR, "SIGKILL")
    outcome = bench.carry_out(LOST_HARNESS)
    assert outcome.problems == [], str(outcome)
    assert (outcome.code, outcome.resumed) == (-9, "PASS"), str(outcome)
