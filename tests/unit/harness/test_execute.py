# SPDX-License-Identifier: Apache-2.0
"""A whole run without a cloud: each step, its failures, and the verdict."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from fakes.deployment import FakeDeployment
from fakes.listener import FakeListener
from fakes.runner import FakeRunner
from unit.harness.bench import LOST, ROLES, USERS, Bench, Losing, codes

from bsdgate.harness import pipeline
from bsdgate.harness.errors import InfrastructureError, Interrupted
from bsdgate.harness.manifest import ChangedProject, Manifest
from bsdgate.harness.nodes.base import NodeLostError
from bsdgate.harness.run_dir import Attempt, RunDir
from bsdgate.harness.runners.base import Ended, Events, Look
from bsdgate.results.codes import Code
from bsdgate.results.model import Cause, Result

CHANGED = ChangedProject(project="keystone", source="x", version="30.0.1", identity="sha256:1")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


def test_a_run_carries_out_its_steps_and_passes(bench: Bench) -> None:
    verdict, failed = bench.take(bench.begin())
    assert (verdict.result, failed) == (Result.PASS, None)
    assert bench.listener.steps == [
        *("provision", "deploy", "check", "configure", "test", "collect", "confirm", "inspect"),
        *("cleanup", "judge"),
    ]
    assert (bench.deployment.up, bench.runner.prepared) == (False, 1)
    assert bench.node is not None
    assert bench.node.closed == 1


def test_each_step_before_the_judge_is_in_the_journal(bench: Bench) -> None:
    run = bench.begin()
    pipeline.execute(run)
    ended = [event["step"] for event in run.folder.events() if event["event"] == "end"]
    assert ended == [*(step.__name__ for step in pipeline.STEPS), "close"]


def test_the_judge_needs_only_the_directory(bench: Bench, tmp_path: Path) -> None:
    """The verdict is the same on another machine, and the second time."""
    run = bench.begin()
    pipeline.execute(run)
    first = pipeline.judge(run.folder.path, None, bench.listener)
    moved = run.folder.path.rename(tmp_path / "elsewhere")
    second = pipeline.judge(moved, None, FakeListener())
    assert (first.result, first.cases) == (second.result, second.cases)


def test_a_failure_is_run_again_on_the_change_and_on_the_base(bench: Bench) -> None:
    bench.deployment.changes = (CHANGED,)
    bench.runner.outcomes[USERS] = "fail"
    verdict, _ = bench.take(bench.begin())
    assert verdict.result is Result.PASS  # under the policy for developers: it fails on the base
    (disposition,) = verdict.dispositions
    assert (disposition.id, disposition.cause) == (USERS, Cause.BASE)
    assert "base begins, changed: False" in bench.deployment.events
    assert "base ends" in bench.deployment.events


def test_without_a_base_the_cause_is_unknown_and_this_is_reported(bench: Bench) -> None:
    bench.deployment.changes = (CHANGED,)
    bench.deployment.second = False
    bench.runner.outcomes[USERS] = "fail"
    verdict, _ = bench.take(bench.begin())
    assert verdict.result is Result.FAIL
    assert verdict.dispositions[0].cause is Cause.UNKNOWN
    assert "no second cloud without the change" in "".join(bench.listener.reported)


@pytest.mark.parametrize("method", ["install", "start"])
def test_a_failed_deployment_is_an_error_with_the_reason(bench: Bench, method: str) -> None:
    bench.deployment.failing[method] = InfrastructureError("nova failed", "see its log")
    verdict, failed = bench.take(bench.begin())
    assert verdict.result is Result.ERROR
    assert "nova failed" in str(failed)
    assert not bench.deployment.up


def test_a_node_that_does_not_answer_is_an_error_and_no_cloud_is_ended(bench: Bench) -> None:
    run = bench.begin()
    assert bench.node is not None
    bench.node.connect = bench.node.check_connected  # type: ignore[method-assign]
    verdict, failed = bench.take(run)
    assert verdict.result is Result.ERROR
    assert isinstance(failed, NodeLostError)
    assert bench.deployment.events == []


def test_a_node_lost_during_the_tests_is_an_error_of_the_node(bench: Bench) -> None:
    bench.runner = Losing(bench)
    verdict, failed = bench.take(bench.begin())
    assert verdict.result is Result.ERROR
    assert Code.NODE_LOST in codes(verdict)
    assert "does not answer" in str(failed)
    (lost,) = verdict.dispositions
    assert (lost.id, lost.cause) == (ROLES, Cause.NODE)


def test_a_failed_copy_of_logs_is_reported_after_the_verdict(bench: Bench) -> None:
    bench.deployment.failing["collect_logs"] = InfrastructureError("no room")
    verdict, failed = bench.take(bench.begin())
    assert "no room" in str(failed)
    assert not bench.deployment.up
    assert verdict.run.name


class Interrupting(FakeRunner):
    """A runner that the user stops after the first test of the first attempt."""

    def run(self, ids: Sequence[str], attempt: Attempt, events: Events, look: Look) -> Ended:
        if self.ran:
            return super().run(ids, attempt, events, look)
        super().run(ids[:1], attempt, events, look)
        raise KeyboardInterrupt


def test_a_stopped_run_is_resumed_with_the_remaining_tests(bench: Bench) -> None:
    bench.runner = Interrupting(bench.runner.outcomes)
    run = bench.begin()
    with pytest.raises(Interrupted, match="the results so far are in") as caught:
        pipeline.execute(run)
    assert f"--resume {run.folder.path}" in str(caught.value)
    assert not bench.deployment.up
    bench.deployment = FakeDeployment()
    resumed = bench.run_in(RunDir.open(run.folder.path))
    verdict, failed = bench.take(resumed)
    assert (verdict.result, failed) == (Result.PASS, None)
    assert [name for name, _ in bench.runner.ran] == ["01-tempest", "02-tempest"]
    assert Code.RESUMED in codes(verdict)
    assert {case.id for case in verdict.cases} == {USERS, ROLES}


def test_a_resumed_run_without_remaining_tests_runs_none(bench: Bench) -> None:
    run = bench.begin()
    pipeline.execute(run)
    asked = list(bench.runner.ran)
    verdict, _ = bench.take(bench.run_in(RunDir.open(run.folder.path)))
    assert verdict.result is Result.PASS
    assert bench.runner.ran == asked
    assert "no test was left to run" in bench.listener.reported


def test_the_change_on_the_review_server_is_in_the_evidence(bench: Bench) -> None:
    run = bench.begin(change="912345", patchset="3")
    verdict, _ = bench.take(run)
    assert (verdict.run.change, verdict.run.patchset) == ("912345", "3")
    assert isinstance(run.folder.manifest, Manifest)


# A node that is lost in a step ---------------------------------------------------------------


@pytest.mark.parametrize("method", ["install", "start", "collect_logs"])
def test_a_node_lost_in_a_step_is_in_the_verdict(bench: Bench, method: str) -> None:
    bench.deployment.failing[method] = NodeLostError(LOST.text)
    verdict, failed = bench.take(bench.begin())
    assert verdict.result is Result.ERROR
    assert isinstance(failed, NodeLostError)
    (reason,) = [one for one in verdict.reasons if one.code is Code.NODE_LOST]
    assert reason.message == LOST.text


def test_a_step_that_fails_on_a_lost_node_names_the_node(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Any) -> None:
        bench.deployment.lose()
        bench.deployment.problems = [LOST]
        raise InfrastructureError("discover-tempest-config ended with status 1")

    monkeypatch.setattr(bench.runner, "prepare", lambda: fail(None))
    verdict, failed = bench.take(bench.begin())
    assert str(failed).startswith(LOST.text)
    assert Code.NODE_LOST in codes(verdict)


def test_a_step_that_fails_on_a_good_node_does_not_name_the_node(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise InfrastructureError("discover-tempest-config ended with status 1")

    monkeypatch.setattr(bench.runner, "prepare", fail)
    verdict, failed = bench.take(bench.begin())
    assert "discover-tempest-config" in str(failed)
    assert Code.NODE_LOST not in codes(verdict)


def test_a_node_lost_before_the_run_was_resumed_is_no_reason(bench: Bench) -> None:
    bench.deployment.failing["start"] = NodeLostError(LOST.text)
    run = bench.begin()
    bench.take(run)
    bench.deployment.failing.clear()
    verdict, failed = bench.take(bench.run_in(RunDir.open(run.folder.path)))
    assert failed is None
    assert Code.NODE_LOST not in codes(verdict)
