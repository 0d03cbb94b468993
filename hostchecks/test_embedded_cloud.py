# SPDX-License-Identifier: Apache-2.0
"""The host of an embedded cloud: processes, sockets and files.

A program on the node collects the data. The checks start it through testinfra (``--hosts``; by
default on this machine).
``BSDGATE_CLOUD_DIR`` is the directory of the cloud and ``BSDGATE_NODE_PYTHON`` a Python interpreter
with bsdgate, both on the node. ``BSDGATE_CLOUD_SERVICES`` are the expected services.
"""

import ipaddress
import json
import os
import stat
from typing import Any
from urllib.parse import urlsplit

import pytest
import testinfra
from testinfra.host import Host

# Without the variable the checks can still be imported; then they fail.
SERVICES = sorted(os.environ.get("BSDGATE_CLOUD_SERVICES", "").split(","))
OF_OTHERS = stat.S_IRWXG | stat.S_IRWXO

Observation = dict[str, Any]


@pytest.fixture(scope="module")
def host(pytestconfig: pytest.Config) -> Host:
    """Return the node.

    The fixture of testinfra would add the node to the id of each check: ``[local-nova]`` on this
    machine, ``[ssh://host-nova]`` over ssh. The same check must have the same id on each node.
    """
    option = pytestconfig.option
    return testinfra.get_host(option.hosts, ssh_config=option.ssh_config)


@pytest.fixture(scope="module")
def observed(host: Host) -> Observation:
    """Return the state of the cloud on the node."""
    python, cloud = os.environ["BSDGATE_NODE_PYTHON"], os.environ["BSDGATE_CLOUD_DIR"]
    module = "bsdgate.hostchecks.observation"
    found: Observation = json.loads(host.check_output("%s -B -P -m %s %s", python, module, cloud))
    return found


def process_of(observed: Observation, service: str) -> Observation:
    """Return the process of a service."""
    pid = observed["status"]["services"][service]["pid"]
    assert str(pid) in observed["processes"], f"{service}, process {pid}, is gone"
    found: Observation = observed["processes"][str(pid)]
    return found


def test_cloud_has_these_services_and_no_other(observed: Observation) -> None:
    """The cloud has the services of its profile."""
    assert sorted(observed["status"]["services"]) == SERVICES


@pytest.mark.parametrize("service", SERVICES)
def test_service_is_a_process_of_the_user(observed: Observation, service: str) -> None:
    """Each service is one running process of the user who owns the cloud."""
    process = process_of(observed, service)
    assert not process["zombie"]
    assert process["uid"] == observed["uid"]


@pytest.mark.parametrize("service", SERVICES)
def test_service_listens_on_loopback_alone(observed: Observation, service: str) -> None:
    """The service listens on the port in its URL, and only on loopback addresses."""
    listening = [each for each in process_of(observed, service)["sockets"] if each["listens"]]
    port = urlsplit(observed["status"]["services"][service]["url"]).port
    assert port in {each["port"] for each in listening}
    assert all(ipaddress.ip_address(each["ip"]).is_loopback for each in listening)


def test_tree_holds_no_other_open_port(observed: Observation) -> None:
    """No process of the cloud has a socket with an address outside loopback."""
    for process in observed["processes"].values():
        for each in process["sockets"]:
            assert ipaddress.ip_address(each["ip"]).is_loopback, (process["name"], each)


def test_directory_is_private(observed: Observation) -> None:
    """Only the user can enter the cloud's directory."""
    assert observed["modes"]["."] & OF_OTHERS == 0


def test_secrets_are_private(observed: Observation) -> None:
    """Other users cannot read files with a password, a key or a database."""
    secret = {file: mode for file, mode in observed["modes"].items() if file != "."}
    assert len(secret) > len(SERVICES)
    assert not [file for file, mode in secret.items() if mode & OF_OTHERS]
