# SPDX-License-Identifier: Apache-2.0
"""The contract of deployments."""

from pathlib import Path

import pytest
from fakes.deployment import FakeDeployment

from bsdgate.harness.deployments.base import Deployment


def drop(_: object) -> None:
    """Ignore a line or an event."""


def start(deployment: Deployment) -> Deployment:
    """Install and start a deployment; return it."""
    deployment.install(drop)
    deployment.start(drop)
    return deployment


class DeploymentContract:
    """The tests; a subclass has the fixture ``deployment``, not started.

    No test ends the deployment of the fixture ``started``, so a subclass can have one for all.
    """

    @pytest.fixture
    def started(self, deployment: Deployment) -> Deployment:
        return start(deployment)

    def test_an_installation_has_versions(self, deployment: Deployment) -> None:
        installed = deployment.install(drop)
        assert all(isinstance(version, str) for version in installed.versions.values())
        assert bool(installed.changes) == deployment.changed

    def test_its_access_has_an_entry_for_clouds_yaml(self, deployment: Deployment) -> None:
        deployment.install(drop)
        access = deployment.start(drop)
        assert access.entry["auth"]["auth_url"].startswith("http")

    def test_it_has_no_problems_after_the_start(self, started: Deployment) -> None:
        assert list(started.health()) == []

    def test_its_logs_are_copied_to_a_directory(self, started: Deployment, tmp_path: Path) -> None:
        started.collect_logs(tmp_path / "logs")
        started.collect_logs(tmp_path / "logs")

    def test_another_one_has_the_same_change_or_none(self, started: Deployment) -> None:
        again, without = started.again("again"), started.without_change("base")
        assert again is None or again.changed == started.changed
        assert without is None or not without.changed

    def test_the_base_is_unaltered_without_a_change(self, started: Deployment) -> None:
        if not started.changed:
            started.check_base()

    def test_it_leaves_nothing_and_can_be_ended_again(self, deployment: Deployment) -> None:
        start(deployment)
        assert list(deployment.end()) == []
        assert list(deployment.end()) == []
        deployment.close()
        deployment.close()

    def test_it_can_be_closed_without_a_start(self, deployment: Deployment) -> None:
        assert list(deployment.end()) == []
        deployment.close()


class TestFakeDeployment(DeploymentContract):
    @pytest.fixture
    def deployment(self) -> Deployment:
        return FakeDeployment()
