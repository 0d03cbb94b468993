# SPDX-License-Identifier: Apache-2.0
"""The comparison of the base between a change's cloud and all that follows it."""

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


class Writing(FakeDeployment):
    """A cloud of a change that writes to the base as it ends."""

    def __init__(self, packages: Path, environment: Environment, log: Path) -> None:
        super().__init__(changes=(CHANGED,))
        self.packages = packages
        self.environment = environment
        self.log = log

    def end(self) -> Sequence[str]:
        """Write at the last moment."""
        (self.packages / "planted.pth").write_text("")
        return super().end()

    def check_base(self) -> None:
        """Compare the base, as the host of embedded clouds does."""
        self.environment.see_base_unaltered(self.log)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Return a run of a change with its tests behind it, over a base in small."""
    packages = tmp_path / "site-packages"
    packages.mkdir()
    monkeypatch.setattr(base, "roots", lambda: [packages])
    environment = Environment(Path(sys.executable), (CHANGED,), base.take())
    with RunDir.create(tmp_path / "runs", manifest()) as folder:
        deployment = Writing(packages, environment, folder.logs / "base.log")
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


def test_the_base_is_compared_when_the_changes_cloud_has_stopped(run: Run) -> None:
    with pytest.raises(InfrastructureError, match=r"planted\.pth"):
        steps.see_base_unaltered(run)
    (event,) = altered(run)
    assert "planted.pth" in event["message"]


def test_nothing_is_run_on_a_base_that_the_change_altered(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confirm, "_base", lambda run: pytest.fail("the base was brought up"))
    with pytest.raises(InfrastructureError, match=r"planted\.pth"):
        confirm._rerun_without(run, [], 0)


def test_nothing_is_run_on_the_base_beside_a_kept_cloud(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confirm, "_base", lambda run: pytest.fail("the base was brought up"))
    kept = dataclasses.replace(run, keep=True)
    confirm._rerun_without(kept, [], 0)
    assert cast(Writing, kept.deployment).up


def test_a_run_that_failed_or_was_stopped_says_what_was_altered(run: Run) -> None:
    steps.cleanup(run)
    assert len(altered(run)) == 1
    assert "planted.pth" in "".join(cast(Any, run.listener).said)


def test_without_a_change_nothing_is_compared(run: Run) -> None:
    cast(Writing, run.deployment).changes = ()
    plain = dataclasses.replace(run)
    steps.see_base_unaltered(plain)
    steps.cleanup(plain)
    assert altered(run) == []
