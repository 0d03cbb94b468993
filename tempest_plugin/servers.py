# SPDX-License-Identifier: Apache-2.0
"""Servers of the tests, and the resources that they hold in Placement and Neutron."""

import contextlib
import math
from typing import Any

from tempest import config
from tempest.common import compute
from tempest.lib import exceptions

from bsdgate.tempest_plugin.waiting import wait_for

CONF = config.CONF

Held = dict[str, dict[str, int]]
"""Amounts by resource class, by resource provider."""


def create(test: Any, **attributes: Any) -> str:
    """Request a server of the primary tenant; return its id. It is deleted after the test.

    The server is on the tenant's network unless ``networks`` is given.
    """
    network = None if "networks" in attributes else test.get_tenant_network()
    server, _ = compute.create_test_server(test.os_primary, tenant_network=network, **attributes)
    test.addCleanup(discard, test, server["id"])
    server_id: str = server["id"]
    return server_id


def boot(test: Any, **attributes: Any) -> str:
    """Create a server, wait until it is ACTIVE and return its id."""
    server_id = create(test, **attributes)
    wait_for_status(test, server_id, "ACTIVE")
    return server_id


def wait_for_status(test: Any, server_id: str, status: str) -> None:
    """Wait until a server has the status ``status``.

    :raises TempestException: the status is ERROR; the message has the fault.
    """

    def reached() -> bool:
        server = show(test, server_id)
        if server["status"] == "ERROR":
            raise exceptions.TempestException(f"{server_id}: {server.get('fault')}")
        return bool(server["status"] == status)

    wait_for(reached, CONF.compute.build_timeout, f"server {server_id} to be {status}")


def wait_for_failure(test: Any, server_id: str) -> dict[str, Any]:
    """Wait until the status of a server is ERROR; return the server.

    :raises TempestException: the status is ACTIVE.
    """

    def failed() -> bool:
        status = show(test, server_id)["status"]
        if status == "ACTIVE":
            raise exceptions.TempestException(f"server {server_id} is ACTIVE; expected: ERROR")
        return bool(status == "ERROR")

    wait_for(failed, CONF.compute.build_timeout, f"server {server_id} to fail")
    return show(test, server_id)


def show(test: Any, server_id: str) -> dict[str, Any]:
    """Return a server with the fields for administrators, such as its host."""
    server: dict[str, Any] = test.os_admin.servers_client.show_server(server_id)["server"]
    return server


def discard(test: Any, server_id: str) -> None:
    """Delete a server and wait until it is deleted; do nothing if it does not exist."""
    client = test.os_admin.servers_client
    with contextlib.suppress(exceptions.NotFound):
        client.delete_server(server_id)
    wait_for(
        lambda: _is_deleted(client, server_id),
        CONF.compute.build_timeout,
        f"server {server_id} to be deleted",
    )


def _is_deleted(client: Any, server_id: str) -> bool:
    try:
        client.show_server(server_id)
    except exceptions.NotFound:
        return True
    return False


def held(test: Any, consumer: str) -> Held:
    """Return the resources that a server, or a migration, holds in Placement."""
    allocations = test.os_admin.placement_client.list_allocations(consumer)["allocations"]
    return {provider: each["resources"] for provider, each in allocations.items()}


def sizes(test: Any, flavor_id: str) -> dict[str, int]:
    """Return the resources that a flavor without extra specs takes on a host."""
    flavor = test.os_admin.flavors_client.show_flavor(flavor_id)["flavor"]
    # Swap is in MiB; a flavor without swap has an empty string.
    swap = math.ceil(int(flavor["swap"] or 0) / 1024)
    disk = flavor["disk"] + flavor["OS-FLV-EXT-DATA:ephemeral"] + swap
    amounts = {"VCPU": flavor["vcpus"], "MEMORY_MB": flavor["ram"], "DISK_GB": disk}
    return {name: amount for name, amount in amounts.items() if amount}


def ports(test: Any, server_id: str) -> list[dict[str, Any]]:
    """Return the ports of a server, with the fields for administrators."""
    listed = test.os_admin.ports_client.list_ports(device_id=server_id)
    return list(listed["ports"])
