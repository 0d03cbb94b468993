# SPDX-License-Identifier: Apache-2.0
"""The comparison of the base between a change's cloud and all that follows it."""

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from unit.harness.manifests import manifest

from bsdgate.harness import confirm, steps
from bsdgate.harness.cloud.client import Cloud
from bsdgate.harness.environments import base
from bsdgate.harness.environments.environment import Environment
from bsdgate.harness.errors import InfrastructureError
from bsdgate.harness.manifest import ChangedProject
from bsdgate.harness.run_dir import RunDir
from bsdgate.harness.steps import Run

CHANGED = ChangedProject(project="keystone", source="x", version="30.0.1", identity="sha256:1")


class WritingCloud:
    """A cloud of a change that writes to the base until it is stopped."""

    def __init__(self, packages: Path) -> None:
        self.packages = packages
        self.stopped = False

    def stop(self) -> None:
        """Write at the last moment."""
        (self.packages / "planted.pth").write_text("")
        self.stopped = True

    def clean(self) -> None:
        """Have nothing to remove."""

    def alive(self) -> bool:
        """Tell whether it was stopped."""
        return not self.stopped


class Listened:
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        """Keep it."""
        self.said.append(text)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Return a run of a change with its tests behind it, over a base in small."""
    packages = tmp_path / "site-packages"
    packages.mkdir()
    monkeypatch.setattr(base, "roots", lambda: [packages])
    environment = Environment(Path(sys.executable), (CHANGED,), base.take())
    with RunDir.create(tmp_path / "runs", manifest()) as folder:
        listener, cloud = cast(Any, Listened()), cast(Cloud, WritingCloud(packages))
        yield Run(folder, cast(Any, None), cast(Any, None), environment, listener, cloud=cloud)


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
    assert kept.cloud is not None
    assert kept.cloud.alive()


def test_a_run_that_failed_or_was_stopped_says_what_was_altered(run: Run) -> None:
    steps.cleanup(run)
    assert len(altered(run)) == 1
    assert "planted.pth" in "".join(cast(Any, run.listener).said)


def test_without_a_change_nothing_is_compared(run: Run) -> None:
    plain = dataclasses.replace(run, environment=Environment(Path(sys.executable)))
    steps.see_base_unaltered(plain)
    steps.cleanup(plain)
    assert altered(run) == []
