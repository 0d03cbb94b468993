# SPDX-License-Identifier: Apache-2.0
"""The host side of an embedded cloud: its processes, its sockets, its files.

``BSDGATE_CLOUD_DIR`` names the cloud's directory.
"""

import ipaddress
import json
import os
import stat
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from testinfra.host import Host

SERVICES = ("glance", "ironic", "keystone", "neutron", "nova", "placement")


@pytest.fixture(scope="module")
def cloud() -> Path:
    """Return the directory of the cloud that is checked."""
    return Path(os.environ["BSDGATE_CLOUD_DIR"])


@pytest.fixture(scope="module")
def status(cloud: Path) -> dict[str, Any]:
    """Return what the cloud's supervisor says."""
    found: dict[str, Any] = json.loads((cloud / "status.json").read_text())
    return found


@pytest.mark.parametrize("service", SERVICES)
def test_service_is_a_process_of_the_user(host: Host, status: dict[str, Any], service: str) -> None:
    """Each service is one living process, run by who runs the harness."""
    pid = str(status["services"][service]["pid"])
    # One process and no command line: a process's title may have a space anywhere.
    state, uid = host.check_output("ps -o stat= -o uid= -p %s", pid).split()
    assert not state.startswith("Z")
    assert int(uid) == os.getuid()


@pytest.mark.parametrize("service", SERVICES)
def test_service_listens_on_loopback_alone(status: dict[str, Any], service: str) -> None:
    """The service listens on the port that it tells, and on no address but loopback's."""
    listening = [
        each.laddr
        for each in psutil.Process(status["services"][service]["pid"]).net_connections("inet")
        if each.status == psutil.CONN_LISTEN
    ]
    assert urlsplit(status["services"][service]["url"]).port in {each.port for each in listening}
    assert all(ipaddress.ip_address(each.ip).is_loopback for each in listening)


def test_tree_holds_no_other_open_port(status: dict[str, Any]) -> None:
    """No process of the cloud, whatever it is for, listens beyond loopback."""
    supervisor = psutil.Process(status["pid"])
    for process in (supervisor, *supervisor.children(recursive=True)):
        for each in process.net_connections("inet"):
            assert ipaddress.ip_address(each.laddr.ip).is_loopback, (process, each)


def test_directory_is_private(host: Host, cloud: Path) -> None:
    """Nobody but the user can even enter the cloud's directory."""
    assert host.file(str(cloud)).mode & (stat.S_IRWXG | stat.S_IRWXO) == 0


def test_secrets_are_private(cloud: Path) -> None:
    """No file that holds a password, key or database can be read by others."""
    secret = [cloud / "spec.json", cloud / "accounts.yaml", *cloud.glob("etc/*/*.conf")]
    secret += cloud.glob("data/**/*.sqlite")
    secret += [each for each in cloud.glob("data/keystone/*_tokens/*") if each.is_file()]
    assert len(secret) > len(SERVICES)
    for file in secret:
        assert file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO) == 0, file
