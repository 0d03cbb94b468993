# SPDX-License-Identifier: Apache-2.0
"""The host checks use data of the node that all systems have."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from bsdgate.harness import process
from bsdgate.harness.cloud.service import SERVICES
from bsdgate.harness.errors import InfrastructureError
from bsdgate.harness.runners.hostchecks import HostChecks

POSIX = ("cat", "id", "kill", "sh", "test", "uname")
"""POSIX programs that testinfra and a shell need."""

DIFFERENT = ("find", "ip", "lsof", "netstat", "pgrep", "ps", "sockstat", "ss", "stat")
"""Programs that differ between Linux and FreeBSD, or that only one of them has."""

LISTENING = """
import socket, sys
listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(6)]
print(*(each.getsockname()[1] for each in listeners), flush=True)
sys.stdin.read()
"""


def write_program(path: Path, *lines: str) -> None:
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a PATH with programs that differ between systems, all of which fail."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in POSIX:
        found = shutil.which(name)
        if found is not None:
            (folder / name).symlink_to(found)
    for name in DIFFERENT:
        write_program(folder / name, f"echo '{name}: keyword not found' >&2", "exit 1")
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.fixture
def node(tmp_path: Path, programs: Path) -> Path:
    """Return the working directory of a fake ssh; a relative path exists only there."""
    folder = tmp_path / "node"
    folder.mkdir(mode=0o700)
    enter = f"cd {shlex.quote(str(folder))} || exit 255"
    # The last argument of testinfra is the command.
    write_program(programs / "ssh", enter, 'for last in "$@"; do :; done', 'exec sh -c "$last"')
    return folder


@pytest.fixture
def cloud(node: Path) -> Iterator[Path]:
    """Return the directory of a cloud; one process with six listeners is all of its services."""
    folder = node / "cloud"
    folder.mkdir(mode=0o700)
    argv = [sys.executable, "-I", "-c", LISTENING]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as services:
        assert services.stdout is not None
        ports = dict(zip(SERVICES, services.stdout.readline().split(), strict=True))
        write_status(folder, services.pid, {name: int(port) for name, port in ports.items()})
        yield folder
        services.kill()


def write_status(folder: Path, pid: int, ports: Mapping[str, int]) -> None:
    services = {
        name: {"pid": pid, "url": f"http://127.0.0.1:{port}"} for name, port in ports.items()
    }
    for name in SERVICES:
        (folder / "etc" / name).mkdir(parents=True)
        (folder / "etc" / name / f"{name}.conf").touch(0o600)
    for name in ("spec.json", "accounts.yaml"):
        (folder / name).touch(0o600)
    (folder / "status.json").write_text(json.dumps({"pid": pid, "services": services}))


def checks(
    cloud: Path, logs: Path, services: Sequence[str] = SERVICES, host: str = "local://"
) -> HostChecks:
    logs.mkdir()
    facts = {
        "BSDGATE_CLOUD_DIR": str(cloud),
        "BSDGATE_CLOUD_SERVICES": ",".join(services),
        "BSDGATE_NODE_PYTHON": sys.executable,
    }
    return HostChecks(facts, logs, 60, (f"--hosts={host}",))


def outcome(checks: HostChecks) -> tuple[bool, str]:
    """Run all checks; return whether they pass, and their log."""
    try:
        checks.require()
    except InfrastructureError as error:
        return False, f"{error}\n{(checks.logs / 'hostchecks.log').read_text()}"
    return True, ""


def test_no_program_that_differs_between_systems_is_called(cloud: Path, tmp_path: Path) -> None:
    assert outcome(checks(cloud, tmp_path / "logs")) == (True, "")


def test_a_check_has_the_same_id_on_each_node(tmp_path: Path) -> None:
    """Otherwise a run on another node would lack the checks of the last good run."""
    here, there = (
        checks(tmp_path, tmp_path / name, host=host).list_ids()
        for name, host in (("here", "local://"), ("there", "ssh://node?controlpersist=0"))
    )
    assert here == there
    assert "test_embedded_cloud.py::test_service_is_a_process_of_the_user[nova]" in here


def test_all_data_comes_from_the_node(cloud: Path, tmp_path: Path) -> None:
    relative = cloud.relative_to(cloud.parent)
    assert outcome(checks(relative, tmp_path / "logs", host="ssh://node")) == (True, "")


@pytest.mark.parametrize(
    ("file", "check"),
    [(".", "test_directory_is_private"), ("etc/nova/nova.conf", "test_secrets_are_private")],
)
def test_a_file_that_others_can_read_fails(
    cloud: Path, tmp_path: Path, file: str, check: str
) -> None:
    (cloud / file).chmod(0o755)
    passed, log = outcome(checks(cloud, tmp_path / "logs"))
    assert not passed
    assert f"::{check}\n" in log
    assert "1 failed" in log


def test_a_service_that_the_profile_does_not_have_fails(cloud: Path, tmp_path: Path) -> None:
    passed, log = outcome(checks(cloud, tmp_path / "logs", ["keystone", "ironic"]))
    assert not passed
    assert "::test_cloud_has_these_services_and_no_other\n" in log
    assert "1 failed" in log


def test_a_service_that_has_ended_fails(cloud: Path, tmp_path: Path) -> None:
    status = json.loads((cloud / "status.json").read_text())
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    status["services"]["nova"]["pid"] = ended.pid
    (cloud / "status.json").write_text(json.dumps(status))
    passed, log = outcome(checks(cloud, tmp_path / "logs"))
    assert not passed
    assert f"nova, process {ended.pid}, is gone" in log
    assert "2 failed" in log


def test_an_open_port_of_the_cloud_fails(cloud: Path, tmp_path: Path) -> None:
    beyond = "import socket; s = socket.create_server(('0.0.0.0', 0)); print(); input()"
    listener = [sys.executable, "-I", "-c", beyond]
    with subprocess.Popen(listener, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as open_to_all:
        assert open_to_all.stdout is not None
        open_to_all.stdout.readline()
        status = json.loads((cloud / "status.json").read_text())
        # With this process as the supervisor, the listener belongs to the cloud.
        (cloud / "status.json").write_text(json.dumps(status | {"pid": os.getpid()}))
        passed, log = outcome(checks(cloud, tmp_path / "logs"))
        open_to_all.kill()
    assert not passed
    assert "::test_tree_holds_no_other_open_port\n" in log


def test_the_checks_leave_no_byte_code(cloud: Path, tmp_path: Path) -> None:
    hostchecks = Path(process.__file__).parents[1] / "hostchecks"
    before = set(hostchecks.rglob("*.pyc"))
    outcome(checks(cloud, tmp_path / "logs"))
    assert set(hostchecks.rglob("*.pyc")) <= before
