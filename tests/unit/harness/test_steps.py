# SPDX-License-Identifier: Apache-2.0
"""The steps of a run, on a deployment and a node without a cloud."""

import json
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from fakes.deployment import FakeDeployment
from fakes.listener import FakeListener
from fakes.node import FakeNode
from unit.harness.manifests import manifest, with_node

from bsdgate.harness import pipeline
from bsdgate.harness.deployments.base import ForRunner
from bsdgate.harness.environments.environment import Environment
from bsdgate.harness.errors import InfrastructureError, UsageError
from bsdgate.harness.manifest import ChangedProject, NodeDocument
from bsdgate.harness.nodes.base import TimeoutFactor
from bsdgate.harness.profiles.load import load
from bsdgate.harness.run_dir import RunDir
from bsdgate.harness.runners import table
from bsdgate.harness.runners.base import Site
from bsdgate.harness.steps import (
    ALTERED,
    CLOSE,
    LEFT,
    MATRIX,
    Run,
    check_base_unaltered,
    cleanup,
    collect,
    deploy,
    provision,
    stop_check,
)
from bsdgate.harness.suites import model as suites
from bsdgate.results.codes import Code
from bsdgate.results.problems import Finding, Problem

CHANGED = ChangedProject(project="keystone", source="x", version="30.0.1", identity="sha256:1")
DIED = Problem(Code.SERVICE_DIED, "nova died")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[RunDir]:
    with RunDir.create(tmp_path / "runs", manifest()) as folder:
        yield folder


def run_with(folder: RunDir, deployment: FakeDeployment, **fields: Any) -> Run:
    suite: Any = None
    return Run(
        folder,
        load("embedded"),
        suite,
        FakeNode(folder.path),
        deployment,
        Environment(Path(sys.executable)),
        FakeListener(),
        **fields,
    )


def deployed(folder: RunDir, deployment: FakeDeployment, **fields: Any) -> Run:
    run = run_with(folder, deployment, **fields)
    deploy(run)
    return run


def reported(run: Run) -> str:
    assert isinstance(run.listener, FakeListener)
    return "\n".join(run.listener.reported)


def recorded(folder: RunDir, step: str) -> list[str]:
    return [event["message"] for event in folder.events() if event["step"] == step]


# Provision ----------------------------------------------------------------------------------


def test_the_node_and_the_installation_are_recorded(folder: RunDir) -> None:
    run = run_with(folder, FakeDeployment(changes=(CHANGED,)))
    provision(run)
    found = folder.read_node()
    assert found is not None
    assert (found.name, found.run_id) == ("fake", folder.manifest.run_id)
    assert found.facts == {
        **run.node.facts(),
        "timeout_factor": "1",
        "timeout_factor_source": "the node is this machine",
    }
    assert found.versions["keystone"] == "30.0.0"
    assert found.changes == (CHANGED,)
    assert "installing first" in reported(run)


def test_the_measured_factor_is_used_shown_and_recorded(folder: RunDir) -> None:
    run = run_with(folder, FakeDeployment())
    assert isinstance(run.node, FakeNode)
    run.node.factor = TimeoutFactor.measured(6.2, 0.2)
    usual = run.profile.limits.start
    provision(run)
    assert run.profile.limits.start == 31 * usual
    found = folder.read_node()
    assert found is not None
    assert found.facts["timeout_factor"] == "31"
    text = "measured: imports take 6.20 s on the node, 0.20 s on this machine"
    assert found.facts["timeout_factor_source"] == text
    assert f"time limits are multiplied by 31 ({text})" in reported(run)


@pytest.mark.parametrize(("there", "factor"), [(0.1, 1.0), (0.2, 1.0), (0.25, 1.2), (5.0, 25.0)])
def test_a_measured_factor_is_at_least_one(there: float, factor: float) -> None:
    assert TimeoutFactor.measured(there, 0.2).value == factor


def test_the_versions_of_the_runners_are_recorded(folder: RunDir) -> None:
    run = run_with(folder, FakeDeployment())
    provision(run)
    found = folder.read_node()
    assert found is not None
    assert found.versions["pytest"] == run.environment.versions()["pytest"]


def test_other_code_of_bsdgate_is_another_version(folder: RunDir) -> None:
    run = run_with(folder, FakeDeployment())
    provision(run)
    found = folder.read_node()
    assert found is not None
    assert found.versions["bsdgate"].endswith(f" sha256:{folder.manifest.bsdgate_sha256:.12}")


def test_a_resumed_run_needs_the_same_installation(folder: RunDir) -> None:
    provision(run_with(folder, FakeDeployment()))
    before = folder.read_node()
    provision(run_with(folder, FakeDeployment()))
    assert folder.read_node() == before


@pytest.mark.parametrize(
    "other", [{"versions": {"keystone": "29.0.0"}}, {"changes": (CHANGED,)}], ids=str
)
def test_a_resumed_run_with_another_installation_is_refused(
    folder: RunDir, other: dict[str, Any]
) -> None:
    provision(run_with(folder, FakeDeployment()))
    before = folder.read_node()
    assert before is not None
    folder.write_node(before.model_copy(update=other))
    with pytest.raises(UsageError, match="differ from those in"):
        provision(run_with(folder, FakeDeployment()))


def test_a_damaged_node_json_is_refused(folder: RunDir) -> None:
    (folder.path / "node.json").write_text("{")
    with pytest.raises(UsageError, match=r"node\.json is damaged"):
        provision(run_with(folder, FakeDeployment()))


def test_other_code_of_a_change_than_was_requested_is_refused(
    folder: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = manifest().model_copy(update={"changes": (CHANGED,)})
    monkeypatch.setattr(folder, "manifest", asked)
    provision(run_with(folder, FakeDeployment(changes=(CHANGED,))))
    other = CHANGED.model_copy(update={"identity": "sha256:2"})
    with pytest.raises(
        UsageError, match="was sha256:1 when the run began, but the node built sha256:2"
    ):
        provision(run_with(folder, FakeDeployment(changes=(other,))))


# The versions of the node and of the run ----------------------------------------------------


def provisioned(tmp_path: Path, day: str, **facts: str) -> tuple[list[dict[str, Any]], str]:
    """Return the events about versions of a run that began on a day, and the lines for the user."""
    made = manifest(created=datetime.fromisoformat(f"{day}T23:59:00+00:00"))
    with RunDir.create(tmp_path / day, made) as folder:
        run = run_with(folder, FakeDeployment())
        assert isinstance(run.node, FakeNode)
        run.node.properties |= facts
        provision(run)
        return [event for event in folder.events() if event["step"] == MATRIX], reported(run)


def test_a_version_past_its_end_of_life_is_recorded_and_reported(tmp_path: Path) -> None:
    ((event,), shown) = provisioned(
        tmp_path, "2027-04-01", freebsd="15.1", freebsd_branch="RELEASE"
    )
    assert (event["event"], event["code"]) == ("fail", "end-of-life")
    assert event["message"].startswith("FreeBSD 15.1 reached its end of life on 2027-03-31: ")
    assert event["message"] in shown


def test_the_day_on_which_the_run_began_decides(tmp_path: Path) -> None:
    ((event,), _) = provisioned(tmp_path, "2027-03-31", freebsd="15.1", freebsd_branch="RELEASE")
    assert event["code"] == "end-of-life-near"


def test_supported_versions_have_no_event(tmp_path: Path) -> None:
    assert provisioned(tmp_path, "2026-11-28")[0] == []
    assert provisioned(tmp_path, "2026-11-29", freebsd="15.1")[0] == []


def test_the_release_of_the_profile_is_checked_on_any_system(tmp_path: Path) -> None:
    ((event,), _) = provisioned(tmp_path, "2028-03-31")
    assert event["code"] == "end-of-life"
    assert event["message"].startswith("OpenStack 2026.2 reached its end of life on 2028-03-30: ")


def test_the_node_is_inspected_each_time_that_the_run_begins(folder: RunDir) -> None:
    for name in ("01-begin.json", "02-begin.json"):
        run = run_with(folder, FakeDeployment())
        provision(run)
        written = json.loads((folder.path / "node" / name).read_text())
        assert (written["schema"], written["run_id"]) == (1, folder.manifest.run_id)
        assert (written["name"], written["facts"]) == ("fake", dict(run.node.facts()))
    found = folder.read_node()
    assert found is not None
    assert found.schema_version == 2


def test_a_node_with_another_version_than_was_requested_is_refused(tmp_path: Path) -> None:
    with RunDir.create(tmp_path / "runs", manifest(on="qemu:15.1")) as folder:
        run = run_with(folder, FakeDeployment())
        assert isinstance(run.node, FakeNode)
        run.node.properties |= {"freebsd": "15.2", "freebsd_userland": "15.2-RELEASE"}
        with pytest.raises(InfrastructureError, match=r"its userland is 15\.2-RELEASE") as caught:
            provision(run)
        assert "bsdgate image prune" in (caught.value.hint or "")
        (event,) = (event for event in folder.events() if event["step"] == "node")
        assert (event["event"], event["code"]) == ("fail", "node-not-as-asked")


# Deploy and collect -------------------------------------------------------------------------


def test_the_clouds_yaml_of_the_run_has_the_cloud(folder: RunDir) -> None:
    run = deployed(folder, FakeDeployment())
    entry = yaml.safe_load(run.clouds_yaml.read_text())["clouds"]["bsdgate"]
    assert entry == {"auth": {"auth_url": "http://127.0.0.1:1/v3"}}


def test_the_accounts_file_is_private(folder: RunDir) -> None:
    deployment = FakeDeployment()
    deployment.accounts = [{"username": "test-1", "password": "secret"}]
    run = deployed(folder, deployment)
    assert yaml.safe_load(run.accounts.read_text()) == deployment.accounts
    assert run.accounts.stat().st_mode & 0o077 == 0


def test_a_cloud_without_accounts_has_no_accounts_file(folder: RunDir) -> None:
    assert not deployed(folder, FakeDeployment()).accounts.exists()


def test_the_logs_of_the_services_are_copied(folder: RunDir) -> None:
    run = deployed(folder, FakeDeployment())
    collect(run)
    assert (folder.logs / "services" / "keystone.log").read_text() == "of first\n"


def test_a_problem_of_the_deployment_ends_the_tests(folder: RunDir) -> None:
    deployment = FakeDeployment()
    look = stop_check(deployed(folder, deployment))
    assert list(look()) == []
    deployment.problems = [DIED]
    assert list(look()) == [DIED]


# Cleanup ------------------------------------------------------------------------------------


def test_processes_that_outlived_the_cloud_are_recorded(folder: RunDir) -> None:
    deployment = FakeDeployment()
    deployment.left = ["a-daemon (process 7)", "another (process 8)"]
    cleanup(deployed(folder, deployment))
    (message,) = recorded(folder, LEFT)
    assert "the cloud" in message
    assert "a-daemon (process 7); another (process 8)" in message


def test_a_clean_end_records_no_failure(folder: RunDir) -> None:
    deployment = FakeDeployment()
    run = deployed(folder, deployment)
    cleanup(run)
    assert (recorded(folder, LEFT), run.deployed, deployment.up) == ([], False, False)


def test_a_deployment_that_was_not_started_is_not_ended(folder: RunDir) -> None:
    deployment = FakeDeployment()
    deployment.failing["end"] = AssertionError("nothing to end")
    cleanup(run_with(folder, deployment))


def test_processes_that_outlived_the_base_are_only_reported(folder: RunDir) -> None:
    deployment = FakeDeployment()
    deployment.left = ["a-daemon (process 7)"]
    (folder.path / "base").mkdir()
    run = deployed(folder, deployment, site=Path("base"))
    cleanup(run)
    assert recorded(folder, LEFT) == []
    assert "a-daemon" in reported(run)


@pytest.mark.parametrize("error", [UsageError("a cloud is up", "end it"), KeyError("a defect")])
def test_a_cloud_that_cannot_be_removed_is_recorded_and_no_error(
    folder: RunDir, error: Exception
) -> None:
    deployment = FakeDeployment()
    deployment.left, deployment.failing["close"] = ["a-daemon"], error
    cleanup(deployed(folder, deployment))
    first, second = recorded(folder, LEFT)
    assert str(error) in first
    assert "a-daemon" in second


def test_a_kept_cloud_is_left_with_the_commands_to_use_and_end_it(folder: RunDir) -> None:
    deployment = FakeDeployment()
    run = deployed(folder, deployment, keep=True)
    cleanup(run)
    assert deployment.up
    assert "OS_CLOUD=bsdgate openstack server list" in reported(run)
    assert f"`bsdgate down {folder.path}` ends the cloud" in reported(run)


def test_a_cloud_that_has_ended_is_not_kept(folder: RunDir) -> None:
    deployment = FakeDeployment()
    run = deployed(folder, deployment, keep=True)
    deployment.up = False
    cleanup(run)
    assert "was kept" not in reported(run)


def test_a_failed_write_during_cleanup_is_raised_after_the_verdict(folder: RunDir) -> None:
    """The disk is full; the cloud is ended once."""
    deployment = FakeDeployment()
    deployment.left = ["a-daemon"]
    run = deployed(folder, deployment)
    (folder.path / "journal.jsonl").mkdir()
    failure = pipeline._clean_up(run)
    assert "journal.jsonl" in str(failure)
    assert deployment.events.count("first ends") == 1


def test_an_interrupted_cleanup_is_repeated(folder: RunDir) -> None:
    deployment = FakeDeployment()
    run = deployed(folder, deployment)
    deployment.failing["close"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        cleanup(run)
    deployment.failing.clear()
    assert pipeline._clean_up(run) is None
    assert run.deployed is False


# The base -----------------------------------------------------------------------------------


def test_the_base_is_checked_after_the_end_of_the_changes_cloud(folder: RunDir) -> None:
    deployment = FakeDeployment(changes=(CHANGED,))
    run = deployed(folder, deployment)
    check_base_unaltered(run)
    assert (deployment.up, run.base_checked) == (False, True)


def test_without_a_change_the_base_is_not_checked(folder: RunDir) -> None:
    deployment = FakeDeployment()
    deployment.failing["check_base"] = AssertionError("nothing to compare")
    check_base_unaltered(deployed(folder, deployment))
    assert deployment.up


def test_an_altered_base_is_recorded_and_ends_the_step(folder: RunDir) -> None:
    deployment = FakeDeployment(changes=(CHANGED,))
    deployment.failing["check_base"] = InfrastructureError("2 files were altered")
    with pytest.raises(InfrastructureError):
        check_base_unaltered(deployed(folder, deployment))
    assert recorded(folder, ALTERED) == ["2 files were altered"]


def test_a_stopped_run_checks_the_base_during_cleanup(folder: RunDir) -> None:
    deployment = FakeDeployment(changes=(CHANGED,))
    deployment.failing["check_base"] = InfrastructureError("2 files were altered")
    run = deployed(folder, deployment)
    cleanup(run)
    assert recorded(folder, ALTERED) == ["2 files were altered"]
    assert "2 files were altered" in reported(run)


# The node in an attempt, and the end of the cloud --------------------------------------------


def test_every_attempt_names_its_node(folder: RunDir) -> None:
    with_node(folder)
    attempt = folder.begin_attempt("tempest", "subunit", b"m.A.one\n")
    attempt.interrupt()
    head = json.loads((attempt.folder / "attempt.json").read_bytes())
    assert head["node"]["name"] == "local"
    assert isinstance(folder.read_node(), NodeDocument)


def test_findings_of_the_close_are_recorded(folder: RunDir) -> None:
    deployment = FakeDeployment()
    deployment.found.append(Finding(Code.FOREIGN_CHANGED, "a network is gone"))
    cleanup(deployed(folder, deployment))
    events = [event for event in folder.events() if event["step"] == CLOSE]
    assert [event["event"] for event in events] == ["fail", "end"]
    assert (events[0]["code"], events[0]["message"]) == ("foreign-changed", "a network is gone")


def test_a_failed_close_has_no_end_in_the_journal(folder: RunDir) -> None:
    deployment = FakeDeployment()
    run = deployed(folder, deployment)
    deployment.failing["close"] = InfrastructureError("refused")
    cleanup(run)
    assert [event for event in folder.events() if event["step"] == CLOSE] == []


def test_the_runner_gets_the_settings_of_the_deployment(
    folder: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ForRunner({"a.b": "c"}, ("--non-admin",), Path("requests"))
    monkeypatch.setattr(FakeDeployment, "for_runner", lambda _: given)
    sites: list[Site] = []
    monkeypatch.setattr(table, "make", lambda site, *_: sites.append(site))
    run = run_with(folder, FakeDeployment())
    run.suite = suites.load("smoke")
    assert run.runner is None
    (site,) = sites
    assert ForRunner(site.options, site.tempestconf, site.requests) == given
