# SPDX-License-Identifier: Apache-2.0
"""The check of the base after the end of a cloud with a change."""

import dataclasses
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from fakes.deployment import FakeDeployment
from fakes.listener import FakeListener
from fakes.node import FakeNode
from unit.harness.manifests import manifest

from bsdgate.harness import confirm, steps
from bsdgate.harness.environments import base
from bsdgate.harness.environments.environment import Environment
from bsdgate.harness.errors import InfrastructureError
from bsdgate.harness.manifest import ChangedProject
from bsdgate.harness.run_dir import RunDir
from bsdgate.harness.steps import Run

CHANGED = ChangedProject(project="keystone", source="x", version="30.0.1", identity="sha256:1")


class AlteringDeployment(FakeDeployment):
    """A deployment with a change that writes to the base when it ends."""

    def __init__(self, packages: Path, environment: Environment, log: Path) -> None:
        super().__init__(changes=(CHANGED,))
        self.packages = packages
        self.environment = environment
        self.log = log

    def end(self) -> Sequence[str]:
        """Write a file to the base."""
        (self.packages / "planted.pth").write_text("")
        return super().end()

    def check_base(self) -> None:
        """Check the base, as ``cloud.host`` does."""
        self.environment.check_base_unaltered(self.log)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Return a run with a change after its tests, with a small base."""
    packages = tmp_path / "site-packages"
    packages.mkdir()
    monkeypatch.setattr(base, "roots", lambda: [packages])
    environment = Environment(Path(sys.executable), (CHANGED,), base.take())
    with RunDir.create(tmp_path / "runs", manifest()) as folder:
        deployment = AlteringDeployment(packages, environment, folder.logs / "base.log")
        run = Run(
            folder,
            cast(Any, None),
            cast(Any, None),
            FakeNode(folder.path),
            deployment,
            Environment(Path(sys.executable)),
            FakeListener(),
        )
        steps.deploy(run)
        yield run


def altered(run: Run) -> list[dict[str, Any]]:
    return [event for event in run.folder.events() if event["step"] == "base-altered"]


def test_the_base_is_checked_after_the_end_of_the_changes_cloud(run: Run) -> None:
    with pytest.raises(InfrastructureError, match=r"planted\.pth"):
        steps.check_base_unaltered(run)
    (event,) = altered(run)
    assert "planted.pth" in event["message"]


def test_no_test_is_run_on_an_altered_base(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirm, "_base", lambda run: pytest.fail("the base was brought up"))
    with pytest.raises(InfrastructureError, match=r"planted\.pth"):
        confirm._rerun_without(run, [], 0)


def test_with_a_kept_cloud_no_test_is_run_on_the_base(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confirm, "_base", lambda run: pytest.fail("the base was brought up"))
    kept = dataclasses.replace(run, keep=True)
    confirm._rerun_without(kept, [], 0)
    assert cast(AlteringDeployment, kept.deployment).up


def test_a_failed_or_stopped_run_reports_an_altered_base(run: Run) -> None:
    steps.cleanup(run)
    assert len(altered(run)) == 1
    assert "planted.pth" in "".join(cast(Any, run.listener).reported)


def test_without_a_change_the_base_is_not_checked(run: Run) -> None:
    cast(AlteringDeployment, run.deployment).changes = ()
    plain = dataclasses.replace(run)
    steps.check_base_unaltered(plain)
    steps.cleanup(plain)
    assert altered(run) == []
