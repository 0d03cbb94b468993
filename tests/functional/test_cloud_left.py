# SPDX-License-Identifier: Apache-2.0
"""Clouds that run after their starter has ended, and concurrent commands on one cloud."""

import shlex
import time
from pathlib import Path

import psutil
import pytest
from functional.place import Place, Started, listening, wait_for
from functional.run_folder import IDENTITY, TWO, RunFolder, assert_nothing_left, begun

pytestmark = pytest.mark.timeout(600)


def kill_with_guard(started: Started) -> None:
    """Kill a command and the guards that would end its processes.

    The command is stopped first: it would kill the process group of a guard that has ended.
    """
    harness = psutil.Process(started.popen.pid)
    harness.suspend()
    wait_for(lambda: harness.status() == psutil.STATUS_STOPPED, "the command is stopped")
    for guard in harness.children():
        assert "guard.py" in " ".join(guard.cmdline())
        guard.kill()
    harness.kill()
    started.done()


def booting(place: Place, name: str) -> tuple[Started, Path]:
    """Start a cloud; return when its directory exists and is locked."""
    started = place.start("bsdgate", "up", "--name", name)
    directory = place.state / "clouds" / name
    wait_for((directory / "lock").exists, "the cloud is being started")
    return started, directory


def test_up_that_is_killed_with_its_guard_leaves_no_process(place: Place) -> None:
    started, directory = booting(place, "orphan")
    wait_for((directory / "spec.json").exists, "the supervisor works")
    kill_with_guard(started)
    place.wait_until_empty()
    done = place.bsdgate("down", "--name", "orphan")
    assert done.code == 0, done
    assert not directory.exists()


@pytest.mark.parametrize("moment", ["lock", "spec.json"])
def test_down_ends_a_cloud_that_is_being_started(place: Place, moment: str) -> None:
    started, directory = booting(place, "early")
    wait_for((directory / moment).exists, f"{moment} is there")
    down = place.bsdgate("down", "--name", "early")
    up = started.done(30)
    assert down.code == 0, down
    assert up.code == 3, up
    assert f"another process has ended the cloud in {directory}" in up.text
    assert "Traceback" not in up.text + down.text
    assert not directory.exists()
    assert not place.clouds_yaml.exists()
    place.wait_until_empty()


def test_one_of_two_concurrent_starts_is_refused(place: Place) -> None:
    both = [place.start("bsdgate", "up", "--name", "twin") for _ in range(2)]
    wait_for(lambda: any(each.popen.poll() is not None for each in both), "one is refused")
    (refused,) = (each for each in both if each.popen.poll() is not None)
    (other,) = (each for each in both if each is not refused)
    done = refused.done()
    assert done.code == 2, done
    assert "a cloud named twin is being started by process " in done.text
    assert "disk space" not in done.text
    other.press_ctrl_c()
    assert other.done(30).code == 130
    place.wait_until_empty()
    assert place.bsdgate("down", "--name", "twin").code == 0


def cloud_of(folder: RunFolder) -> Path:
    return folder.path / "cloud"


def test_cloud_of_a_killed_run_ends_and_that_of_a_kept_one_can_be_ended(place: Place) -> None:
    started, folder = begun(place, *IDENTITY, *TWO)
    ports = folder.ports()
    refused = place.bsdgate("down", folder.path)
    assert refused.code == 2, refused
    assert f"{folder.path} is in progress, by process {started.popen.pid}" in refused.text
    assert sorted(listening(ports)) == sorted(ports)
    kill_with_guard(started)
    wait_for(lambda: not place.processes(cloud_of(folder)), "the cloud ends by itself", 20)
    assert listening(ports) == []
    status = place.bsdgate("status")
    assert f"bsdgate down {shlex.quote(str(folder.path))}" in status.text
    assert " down " in status.text

    kept = place.bsdgate("run", "--resume", folder.path, "--keep")
    assert kept.code == 0, kept
    assert f"`bsdgate down {shlex.quote(str(folder.path))}` ends the cloud" in kept.text
    ports = folder.ports()
    assert sorted(listening(ports)) == sorted(ports)
    status = place.bsdgate("status")
    command = f"bsdgate down {shlex.quote(str(folder.path))}"
    (row,) = (each for each in status.text.splitlines() if command in each)
    assert " ready " in row
    assert f" {time.strftime('%Y-')}" in row
    down = place.bsdgate("down", folder.path)
    assert down.code == 0, down
    assert "was ready, and is removed now" in down.text
    assert not cloud_of(folder).exists()
    assert_nothing_left(place, ports)
    again = place.bsdgate("down", folder.path)
    assert again.code == 2
    assert "has left no cloud" in again.text
    assert "have left" not in place.bsdgate("status").text
    both = place.bsdgate("down", folder.path, "--name", "x")
    assert both.code == 2
    assert place.bsdgate("down", place.home).code == 2


def test_processes_of_a_killed_supervisor_are_found_and_ended(place: Place) -> None:
    """The processes are stopped (SIGSTOP), so they do not notice the end of the supervisor."""
    started, directory = booting(place, "stopped")
    wait_for(lambda: len(place.processes(directory)) > 3, "its preloaded parents are there")
    supervisor = int((directory / "lock").read_text())
    leader = psutil.Process(supervisor)
    parents = leader.children()
    for each in parents:
        each.suspend()
    # With its guard, which would end the parents as well. The supervisor ends with the guard.
    kill_with_guard(started)
    psutil.wait_procs([leader], 20)
    assert any(each.is_running() for each in parents)
    done = place.bsdgate("down", "--name", "stopped")
    assert done.code == 0, done
    place.wait_until_empty()
