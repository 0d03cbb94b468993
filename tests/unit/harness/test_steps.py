# SPDX-License-Identifier: Apache-2.0
"""How a run ends its cloud: nothing that goes wrong with that keeps a verdict from being given."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from unit.harness.manifests import manifest

from bsdgate.harness import pipeline
from bsdgate.harness.environments.environment import Environment
from bsdgate.harness.errors import UsageError
from bsdgate.harness.run_dir import RunDir
from bsdgate.harness.steps import LEFT, Run, cleanup


class Cloud:
    """A cloud that leaves a process when it ends, or cannot be removed."""

    def __init__(self, left: list[str], error: Exception | None = None) -> None:
        self.left = left
        self.error = error
        self.stopped = 0

    def stop(self) -> list[str]:
        self.stopped += 1
        return self.left

    def clean(self) -> None:
        if self.error is not None:
            raise self.error


class Listener:
    """Keeps what a run says."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def step(self, name: str) -> None:
        self.said.append(name)

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[RunDir]:
    with RunDir.create(tmp_path / "runs", manifest()) as folder:
        yield folder


def run_with(folder: RunDir, cloud: Cloud, **changes: Any) -> Run:
    nothing: Any = None
    listener: Any = Listener()
    there: Any = cloud
    plain = Environment(Path(sys.executable))
    return Run(folder, nothing, nothing, plain, listener, cloud=there, **changes)


def left_behind(folder: RunDir) -> list[str]:
    return [event["message"] for event in folder.events() if event["step"] == LEFT]


def test_what_outlived_the_cloud_is_written_down(folder: RunDir) -> None:
    cleanup(run_with(folder, Cloud(["a-daemon (process 7)", "another (process 8)"])))
    (message,) = left_behind(folder)
    assert "the cloud" in message
    assert "a-daemon (process 7); another (process 8)" in message


def test_a_clean_end_is_nothing_to_write_down(folder: RunDir) -> None:
    run = run_with(folder, Cloud([]))
    cleanup(run)
    assert (left_behind(folder), run.cloud) == ([], None)


def test_what_outlived_the_base_is_no_reason_against_the_change(folder: RunDir) -> None:
    run = run_with(folder, Cloud(["a-daemon (process 7)"]), site=Path("base"))
    cleanup(run)
    assert left_behind(folder) == []
    assert "a-daemon" in str(run.listener.said)  # type: ignore[attr-defined]


@pytest.mark.parametrize("error", [UsageError("a cloud is up", "end it"), KeyError("a defect")])
def test_a_cloud_that_cannot_be_removed_is_a_reason_and_no_error(
    folder: RunDir, error: Exception
) -> None:
    cleanup(run_with(folder, Cloud(["a-daemon"], error)))
    first, second = left_behind(folder)
    assert str(error) in first
    assert "a-daemon" in second


def test_what_cannot_be_written_down_comes_after_the_verdict(folder: RunDir) -> None:
    """As on a full disk; the cloud is ended once."""
    (folder.path / "journal.jsonl").mkdir()
    cloud = Cloud(["a-daemon"])
    run = run_with(folder, cloud)
    failure = pipeline._clean_up(run)
    assert "journal.jsonl" in str(failure)
    assert cloud.stopped == 1


def test_an_interrupted_cleanup_is_taken_up_again(folder: RunDir) -> None:
    cloud = Cloud([])
    run = run_with(folder, cloud)
    cloud.error = KeyboardInterrupt()  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        cleanup(run)
    cloud.error = None
    assert pipeline._clean_up(run) is None
    assert (cloud.stopped, run.cloud) == (2, None)
