# SPDX-License-Identifier: Apache-2.0
"""The client of a cloud, with real processes and locks."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing.connection import Listener
from pathlib import Path

import psutil
import pytest

from bsdgate.harness import files, folders
from bsdgate.harness.cloud import client
from bsdgate.harness.cloud.client import Cloud
from bsdgate.harness.cloud.spec import CloudSpec, Limits
from bsdgate.harness.errors import InfrastructureError, UsageError

GARBAGE = [b"", b"abc", b"-1", b"0", b"1.5", b"9" * 40, b"9" * 100_000, b"\0\xff", "٣".encode()]
HOLDER = """
import time
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    folders.make_marked(tmp_path / "clouds" / "one")
    (tmp_path / "clouds" / "one" / "lock").touch()
    return Cloud(tmp_path / "clouds" / "one", Limits(stop=0.1))


@pytest.fixture
def lock(cloud: Cloud) -> Iterator[int]:
    """Lock the cloud's directory."""
    fd = files.take_lock(cloud.directory / "lock")
    assert fd is not None
    yield fd
    os.close(fd)


@pytest.fixture
def holder(cloud: Cloud, lock: int) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process in the cloud's directory that inherits the lock, like a supervisor."""
    command = [sys.executable, "-c", HOLDER]
    with subprocess.Popen(
        command,
        cwd=cloud.directory,
        pass_fds=[lock],
        start_new_session=True,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        yield process
        process.kill()


def release(lock: int) -> None:
    """Close our copy of the lock, but keep the number of the descriptor in use."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, lock)
    os.close(nothing)


@pytest.mark.parametrize("content", GARBAGE, ids=lambda content: f"{len(content)}-{content[:6]!r}")
def test_a_free_lock_with_garbage_is_not_a_running_cloud(cloud: Cloud, content: bytes) -> None:
    (cloud.directory / "lock").write_bytes(content)
    assert cloud.status()["state"] == "killed"
    cloud.stop()
    cloud.clean()
    assert not cloud.directory.exists()


@pytest.mark.parametrize("content", GARBAGE, ids=lambda content: f"{len(content)}-{content[:6]!r}")
def test_garbage_in_a_lock_in_use_is_reported(cloud: Cloud, lock: int, content: bytes) -> None:
    (cloud.directory / "lock").write_bytes(content)
    with pytest.raises(InfrastructureError, match=r"lock is still locked, with process id unknown"):
        cloud.stop()
    with pytest.raises(UsageError, match="started by process unknown"):
        cloud.clean()
    assert cloud.directory.exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"pid": "x"}', b'{"pid": -1}', b"\xff"])
def test_garbage_in_the_status_is_ignored(cloud: Cloud, lock: int, content: bytes) -> None:
    (cloud.directory / "status.json").write_bytes(content)
    assert cloud.status()["state"] == "starting"
    with pytest.raises(InfrastructureError, match="still locked"):
        cloud.stop()


@pytest.mark.parametrize("content", [b"{", b"[]", b"{}", b'{"name": 1, "more": 2}'])
def test_a_damaged_description_is_reported(cloud: Cloud, content: bytes) -> None:
    (cloud.directory / "spec.json").write_bytes(content)
    with pytest.raises(InfrastructureError, match=r"spec\.json is damaged"):
        cloud.clouds_yaml_entry()


def test_the_supervisor_is_ended(cloud: Cloud, lock: int, holder: subprocess.Popen[bytes]) -> None:
    cloud.limits = Limits()
    files.name_holder(lock, holder.pid)
    release(lock)
    assert cloud.alive()
    cloud.stop()
    assert not psutil.pid_exists(holder.pid)
    assert not cloud.alive()


def test_the_supervisor_is_also_found_by_its_status(
    cloud: Cloud, lock: int, holder: subprocess.Popen[bytes]
) -> None:
    cloud.limits = Limits()
    (cloud.directory / "lock").write_bytes(b"garbage")
    (cloud.directory / "status.json").write_text(f'{{"state": "ready", "pid": {holder.pid}}}')
    release(lock)
    cloud.stop()
    assert not psutil.pid_exists(holder.pid)


FORKER = """
import os, signal
if not os.fork():
    print(os.getpid(), flush=True)
    signal.pause()
os._exit(0)
"""


def test_a_process_that_has_inherited_the_lock_of_a_dead_supervisor_is_ended(
    cloud: Cloud, lock: int
) -> None:
    cloud.limits = Limits()
    with subprocess.Popen(
        [sys.executable, "-c", FORKER],
        cwd=cloud.directory,
        pass_fds=[lock],
        start_new_session=True,
        stdout=subprocess.PIPE,
    ) as supervisor:
        assert supervisor.stdout
        orphan = psutil.Process(int(supervisor.stdout.readline()))
        assert supervisor.wait(10) == 0
        files.name_holder(lock, supervisor.pid)
        release(lock)
        assert cloud.alive()
        cloud.stop()
    assert not cloud.alive()
    assert not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE
    cloud.clean()
    assert not cloud.directory.exists()


def test_a_process_of_another_program_with_the_id_is_not_ended(cloud: Cloud, lock: int) -> None:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as stranger:
        files.name_holder(lock, stranger.pid)
        with pytest.raises(InfrastructureError, match=f"process id {stranger.pid}"):
            cloud.stop()
        assert stranger.poll() is None
        stranger.kill()


def test_a_shell_of_the_user_in_the_directory_is_not_ended(cloud: Cloud) -> None:
    (cloud.directory / "lock").write_text(str(os.getpid()))
    with subprocess.Popen(["sleep", "60"], cwd=cloud.directory, start_new_session=True) as shell:
        cloud.clean()
        assert shell.poll() is None
        shell.kill()


def test_a_refused_start_reports_the_process_that_starts_the_cloud(
    cloud: Cloud, lock: int, holder: subprocess.Popen[bytes]
) -> None:
    files.name_holder(lock, holder.pid)
    with pytest.raises(
        UsageError, match=rf"a cloud named one is being started by process {holder.pid}, in "
    ):
        cloud._claim()


def test_a_claimed_directory_is_locked_and_marked(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path / "clouds" / "two")
    lock = cloud._claim()
    assert cloud.alive()
    assert folders.is_marked(cloud.directory)
    assert [each.name for each in cloud.directory.parent.iterdir()] == ["two"]
    os.close(lock)
    assert not cloud.alive()


# The pipe to the starter --------------------------------------------------------------------

SUPERVISOR = """
import socket, sys
from bsdgate.harness.cloud.lifetime import SupervisorEnd
ours, theirs = socket.socketpair()
end = SupervisorEnd(int(sys.argv[1]))
print("ready", flush=True)
end.wait([ours])
"""
STARTER = """
import subprocess, sys, time
from bsdgate.harness.cloud.lifetime import StarterEnd
end = StarterEnd()
command = [sys.executable, "-c", sys.argv[1], str(end.other)]
started = subprocess.Popen(command, pass_fds=[end.other], stdout=subprocess.PIPE)
end.give()
started.stdout.readline()
if sys.argv[2] == "detach":
    end.detach()
print(started.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("word", ["detach", "nothing"])
def test_a_supervisor_ends_with_its_starter_unless_it_was_detached(word: str) -> None:
    command = [sys.executable, "-c", STARTER, SUPERVISOR, word]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as starter:
        assert starter.stdout
        supervisor = psutil.Process(int(starter.stdout.readline()))
        time.sleep(0.1)
        assert supervisor.is_running()
        starter.kill()
    if word == "nothing":
        assert psutil.wait_procs([supervisor], 20)[1] == []
    else:
        assert psutil.wait_procs([supervisor], 1)[1] == [supervisor]
        supervisor.kill()


def test_a_socket_is_reached_with_a_long_path_and_a_long_tmpdir(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    # Bound by a relative name, as in the supervisor.
    monkeypatch.chdir(folder)
    with Listener("control", "AF_UNIX") as listener, client._connected(folder / "control") as ours:
        theirs = listener.accept()
        ours.send_bytes(b"hello")
        assert theirs.recv_bytes() == b"hello"
        theirs.close()


def test_the_limits_are_those_of_the_cloud(tmp_path: Path) -> None:
    assert Cloud(tmp_path).limits == Limits()
    CloudSpec.generate("one", tmp_path, {"keystone": 1}, {}, limits=Limits(700, 70)).save()
    assert Cloud(tmp_path).limits == Limits(700, 70)


def test_a_request_has_the_time_limit_of_a_start(cloud: Cloud, lock: int) -> None:
    cloud.limits = Limits(start=0.1)
    late = pytest.raises(InfrastructureError, match=r"did not reset within 0\.1 s")
    with Listener(str(cloud.directory / "control"), "AF_UNIX"), late:
        cloud.reset()
