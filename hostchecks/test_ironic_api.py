# SPDX-License-Identifier: Apache-2.0
"""Ironic through openstacksdk, as the user of the entry ``OS_CLOUD`` in clouds.yaml.

``BSDGATE_CHECK_TIMEOUT`` is the maximum number of seconds for a change of a node's state.
"""

import os
import uuid
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import openstack
import pytest
from keystoneauth1.exceptions import Unauthorized
from openstack.config import OpenStackConfig

DRIVER = "fake-hardware"


@pytest.fixture(scope="module")
def cloud() -> Iterator[openstack.connection.Connection]:
    """Yield a connection to the cloud."""
    with openstack.connect(cloud=os.environ["OS_CLOUD"]) as connection:
        yield connection


@pytest.fixture
def baremetal(cloud: openstack.connection.Connection) -> Any:
    """Return the client of Ironic."""
    return cloud.baremetal


@pytest.fixture
def node(baremetal: Any) -> Iterator[Any]:
    """Yield an enrolled node; remove it afterwards."""
    made = baremetal.create_node(name=f"check-{uuid.uuid4().hex}", driver=DRIVER)
    yield made
    baremetal.delete_node(made, ignore_missing=True)


def reach(baremetal: Any, node: Any, verb: str, state: str) -> None:
    """Request a change of the provision state, and wait for its end."""
    baremetal.set_node_provision_state(node, verb, wait=True, timeout=seconds())
    assert baremetal.get_node(node).provision_state == state


def seconds() -> float:
    """Return the maximum number of seconds for a change of state."""
    return float(os.environ["BSDGATE_CHECK_TIMEOUT"])


def connected_with(password: str) -> openstack.connection.Connection:
    """Return a connection of the same user with another password."""
    changed = {"password": password}
    settings = OpenStackConfig().get_one(os.environ["OS_CLOUD"], auth=changed)
    return openstack.connection.Connection(config=settings)


def test_driver_is_enabled(baremetal: Any) -> None:
    """The conductor is alive and has loaded the driver."""
    assert DRIVER in {each.name for each in baremetal.drivers()}


def test_node_is_enrolled_and_listed(baremetal: Any, node: Any) -> None:
    """A new node has the state enroll, and is in the list."""
    assert baremetal.get_node(node).provision_state == "enroll"
    assert node.id in {each.id for each in baremetal.nodes()}


def test_node_becomes_available(baremetal: Any, node: Any) -> None:
    """A node is managed, and then provided."""
    reach(baremetal, node, "manage", "manageable")
    reach(baremetal, node, "provide", "available")


def test_power_is_switched(baremetal: Any, node: Any) -> None:
    """A request reaches the conductor and the power interface."""
    reach(baremetal, node, "manage", "manageable")
    for request, state in (("power on", "power on"), ("power off", "power off")):
        baremetal.set_node_power_state(node, request, wait=True, timeout=seconds())
        assert baremetal.get_node(node).power_state == state


def test_node_is_deleted(baremetal: Any, node: Any) -> None:
    """A deleted node is not found."""
    baremetal.delete_node(node, ignore_missing=False)
    assert baremetal.find_node(node.id) is None


def test_wrong_password_is_refused() -> None:
    """A request with another password is refused."""
    # Ironic itself refuses the request, or Keystone if the cloud has it.
    errors = (openstack.exceptions.HttpException, Unauthorized)
    refused = pytest.raises(errors, match=rf"\b{HTTPStatus.UNAUTHORIZED:d}\b")
    with connected_with(uuid.uuid4().hex) as stranger, refused:
        list(stranger.baremetal.nodes())
