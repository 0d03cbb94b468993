# SPDX-License-Identifier: Apache-2.0
"""The clouds that runs left behind: their list, and their removal by the run directory."""

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from unit.harness.manifests import manifest

from bsdgate.harness import cli, folders
from bsdgate.harness.errors import UsageError
from bsdgate.harness.run_dir import RunDir


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunDir]:
    """Return a run in progress, with the clouds that a killed harness would leave."""
    monkeypatch.setenv("BSDGATE_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "1000")
    with RunDir.create(tmp_path / "runs", manifest(name="one")) as run:
        for cloud in (run.cloud, run.path / "base" / "cloud"):
            folders.remove_tree(cloud, inside=run.path)
            folders.make_marked(cloud)
            (cloud / "lock").write_text("1")
        yield run


def call(*words: object) -> None:
    cli.bsdgate.main([str(word) for word in words], standalone_mode=False)


def status(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the lines of ``bsdgate status``; there is no cloud of the default name."""
    with pytest.raises(UsageError, match="there is no cloud 'bsdgate'"):
        call("status")
    return capsys.readouterr().out.splitlines()


def test_clouds_of_an_ended_run_are_listed_and_removed(
    run: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    run.close()
    rows = [line for line in status(capsys) if f"bsdgate down {run.path}" in line]
    assert len(rows) == 2
    assert all(" killed " in row for row in rows)
    call("down", run.path)
    output = capsys.readouterr().out
    for cloud in (run.cloud, run.path / "base" / "cloud"):
        assert f"the cloud in {cloud} was killed, and is removed now" in output
        assert not cloud.exists()
    assert (run.path / "manifest.json").exists()
    assert status(capsys) == []
    with pytest.raises(UsageError, match="has left no cloud"):
        call("down", run.path)


def test_a_run_in_progress_keeps_its_cloud(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(capsys) == []
    with pytest.raises(UsageError, match="is in progress, by process") as caught:
        call("down", run.path)
    assert "Ctrl-C" in str(caught.value)
    assert run.cloud.exists()


def test_a_directory_that_is_not_of_a_run_is_refused(run: RunDir, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a run directory"):
        call("down", tmp_path)
    with pytest.raises(click.UsageError, match="not both"):
        call("down", "--name", "one", run.path)


def test_a_directory_in_a_run_that_is_not_a_cloud_stays(run: RunDir) -> None:
    run.close()
    (run.cloud / folders.MARKER).unlink()
    (run.path / folders.MARKER).unlink()
    with pytest.raises(UsageError, match="bsdgate did not make it"):
        call("down", run.path)
    assert (run.cloud / "lock").exists()
