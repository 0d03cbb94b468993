# SPDX-License-Identifier: Apache-2.0
"""The re-runs of tests that hung: each on its own cloud and with its own time limit."""

import dataclasses
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from fakes.deployment import FakeDeployment
from fakes.listener import FakeListener
from fakes.node import FakeNode
from fakes.runner import FakeRunner
from unit.harness.manifests import manifest, with_node

from bsdgate.harness import confirm, steps
from bsdgate.harness.commands.run_clouds import clouds_of
from bsdgate.harness.environments.environment import Environment
from bsdgate.harness.manifest import ChangedProject
from bsdgate.harness.profiles.load import load
from bsdgate.harness.run_dir import Attempt, RunDir
from bsdgate.harness.runners.base import Ended, Events, Look
from bsdgate.harness.steps import Run
from bsdgate.results.attribution import Rerun
from bsdgate.results.codes import Code
from bsdgate.results.model import Side
from bsdgate.results.problems import Problem

CHANGED = ChangedProject(project="keystone", source="x", version="30.0.1", identity="sha256:1")
HUNG = [Rerun("02-tempest", side, 2, ("m.A.one", "m.A.two"), hung=True) for side in Side]


class RecordingRunner(FakeRunner):
    """Records the ids that it runs, and the cloud."""

    def __init__(self, events: list[str]) -> None:
        super().__init__({"m.A.one": "success", "m.A.two": "success"})
        self.noted = events
        self.site = ""

    def of(self, run: Run) -> "RecordingRunner":
        self.site = run.site.name
        return self

    def run(self, ids: Sequence[str], attempt: Attempt, events: Events, look: Look) -> Ended:
        self.noted.append(f"{attempt.name} on {self.site}: {' '.join(ids)}")
        assert look() == []
        return super().run(ids, attempt, events, look)


@pytest.fixture
def events() -> list[str]:
    """Return the begins and ends of clouds, and the runs of tests, in their order."""
    return []


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, events: list[str]) -> Iterator[Run]:
    """Return a run of a change, with clouds and tests that only record events."""
    released = Environment(Path(sys.executable))
    monkeypatch.setattr("bsdgate.harness.environments.environment.prepare", lambda *_: released)
    runner = RecordingRunner(events)
    monkeypatch.setattr(Run, "runner", property(runner.of))
    with RunDir.create(tmp_path / "runs", manifest(name="first")) as folder:
        run = Run(
            with_node(folder),
            load("embedded"),
            cast(Any, None),
            FakeNode(folder.path),
            FakeDeployment(events, (CHANGED,)),
            released,
            FakeListener(),
        )
        steps.deploy(run)
        events.clear()
        yield run


def test_each_rerun_has_a_cloud_of_its_own(run: Run, events: list[str]) -> None:
    confirm._rerun_hung(run, HUNG)
    assert events == [
        "first ends",
        "again begins, changed: True",
        "01-confirm-change on again: m.A.one m.A.two",
        "again ends",
        "again begins, changed: True",
        "02-confirm-change on again: m.A.one m.A.two",
        "again ends",
        "base begins, changed: False",
        "03-confirm-base on base: m.A.one m.A.two",
        "base ends",
        "base begins, changed: False",
        "04-confirm-base on base: m.A.one m.A.two",
        "base ends",
    ]


def test_with_a_kept_cloud_no_hung_test_is_run_again(run: Run, events: list[str]) -> None:
    confirm._rerun_hung(dataclasses.replace(run, keep=True), HUNG)
    assert events == []
    assert "--keep" in "".join(cast(Any, run.listener).reported)


def test_a_rerun_has_time_for_each_test_and_its_fixtures(run: Run) -> None:
    test = run.profile.timeouts.test
    assert run.folder.manifest.concurrency == 1
    assert confirm.hung_seconds(run, 1) == confirm.SET_UP_SECONDS + 2 * test
    assert confirm.hung_seconds(run, 3) == confirm.SET_UP_SECONDS + 6 * test


def test_the_time_limit_is_a_problem(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    look = steps.stop_check(run, 5)
    assert look() == []
    later = time.monotonic() + 6
    monkeypatch.setattr("time.monotonic", lambda: later)
    (problem,) = look()
    assert problem == Problem(Code.TIME_LIMIT, "the tests did not end within 5 s")


def test_an_attempt_has_the_time_limit_of_a_test(run: Run) -> None:
    steps.run_attempt(run, run.runner, ["m.A.one"], list)
    (attempt,) = run.folder.evidence.glob("*/attempt.json")
    assert json.loads(attempt.read_text())["test_timeout"] == run.runner.test_timeout


@pytest.mark.parametrize("site", ["", "again", "base"])
def test_a_cloud_that_a_killed_harness_left_is_found(run: Run, site: str) -> None:
    folder = run.folder.path / site / "cloud"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "lock").write_text("")
    assert [each.directory for each in clouds_of(run.folder.path)] == [folder]


@pytest.mark.parametrize(("site", "written"), [("again", 1), ("base", 0)])
def test_processes_that_outlived_the_second_cloud_are_recorded(
    run: Run, site: str, written: int
) -> None:
    """A process that the base leaves is only reported."""
    (run.folder.path / site).mkdir()
    deployment = FakeDeployment(changes=(CHANGED,) if site == "again" else ())
    deployment.left = ["a-daemon (process 7)"]
    fresh = dataclasses.replace(run, deployment=deployment, site=run.site / site)
    steps.deploy(fresh)
    steps.cleanup(fresh)
    left = [event for event in run.folder.events() if event["step"] == steps.LEFT]
    assert len(left) == written


def test_without_a_second_cloud_no_hung_test_is_run_again(run: Run, events: list[str]) -> None:
    cast(FakeDeployment, run.deployment).second = False
    confirm._rerun_hung(run, HUNG)
    assert events == ["first ends"]
    assert "no second cloud" in "".join(cast(Any, run.listener).reported)


def test_without_a_second_cloud_no_test_is_run_on_the_base(run: Run, events: list[str]) -> None:
    cast(FakeDeployment, run.deployment).second = False
    confirm._rerun_without(run, HUNG, time.monotonic() + 60)
    assert events == ["first ends"]
    assert "no second cloud" in "".join(cast(Any, run.listener).reported)
