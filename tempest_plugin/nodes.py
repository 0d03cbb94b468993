# SPDX-License-Identifier: Apache-2.0
"""Baremetal nodes of the tests: enrolled, brought into provision states, and deleted."""

import contextlib
from collections.abc import Iterable
from typing import Any

from tempest import config
from tempest.lib import exceptions
from tempest.lib.common.utils import data_utils

from bsdgate.tempest_plugin.services.baremetal_client import BaremetalClient
from bsdgate.tempest_plugin.waiting import wait_for

CONF = config.CONF

UNDEPLOYABLE = ("active", "deploy failed", "error")
"""Provision states in which a node must be undeployed before it can be deleted."""


def enroll(test: Any, client: BaremetalClient, **attributes: Any) -> str:
    """Enroll a node without hardware and return its UUID; it is deleted after the test."""
    node = client.create_node(
        name=data_utils.rand_name("node", prefix=CONF.resource_name_prefix),
        driver=CONF.bsdgate.hardware_type,
        deploy_interface="fake",
        network_interface="noop",
        **attributes,
    )
    uuid: str = node["uuid"]
    test.addCleanup(remove, client, uuid)
    return uuid


def provide(client: BaremetalClient, uuids: Iterable[str]) -> None:
    """Make enrolled nodes available and powered off, as an allocation requires."""
    drive(client, uuids, "manage", "manageable")
    for uuid in uuids:
        client.set_node_power_state(uuid, "power off")
    for uuid in uuids:
        wait_until_settled(client, uuid, power_state="power off")
    drive(client, uuids, "provide", "available")


def drive(client: BaremetalClient, uuids: Iterable[str], verb: str, state: str) -> None:
    """Request a provision step of all nodes; wait until each is in ``state`` and unlocked."""
    for uuid in uuids:
        client.set_node_provision_state(uuid, verb)
    for uuid in uuids:
        wait_until_settled(client, uuid, provision_state=state)


def wait_until_settled(client: BaremetalClient, uuid: str, **fields: str) -> None:
    """Wait until a node has these fields and is not reserved by a conductor.

    :raises TempestException: a provision step failed; the message is Ironic's ``last_error``.
    """

    def settled() -> bool:
        node = client.show_node(uuid)
        if node["provision_state"].endswith(" failed"):
            raise exceptions.TempestException(f"{uuid}: {node['last_error']}")
        return node["reservation"] is None and node.items() >= fields.items()

    wait_for(settled, CONF.bsdgate.provision_timeout, f"node {uuid} to have {fields}")


def remove(client: BaremetalClient, uuid: str) -> None:
    """Delete a node in any provision state; do nothing if it does not exist."""
    with contextlib.suppress(exceptions.NotFound):
        wait_for(
            lambda: client.show_node(uuid)["reservation"] is None,
            CONF.bsdgate.provision_timeout,
            f"node {uuid} to be unlocked",
        )
        if client.show_node(uuid)["provision_state"] in UNDEPLOYABLE:
            drive(client, [uuid], "deleted", "available")
        client.delete_node(uuid)


def allocate(test: Any, client: BaremetalClient, **wanted: Any) -> dict[str, Any]:
    """Request a node; return the allocation when its state is ``active`` or ``error``."""
    uuid = client.create_allocation(**wanted)["uuid"]
    test.addCleanup(_delete_allocation, client, uuid)
    wait_for(
        lambda: client.show_allocation(uuid)["state"] != "allocating",
        CONF.bsdgate.provision_timeout,
        f"allocation {uuid} to be active or in error",
    )
    return client.show_allocation(uuid)


def _delete_allocation(client: BaremetalClient, uuid: str) -> None:
    # Ironic refuses this for a deployed node. When the node is undeployed, Ironic deletes the
    # allocation.
    with contextlib.suppress(exceptions.NotFound, exceptions.Conflict):
        client.delete_allocation(uuid)
