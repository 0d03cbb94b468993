# SPDX-License-Identifier: Apache-2.0
"""Servers of the tests' own, and what they hold in Placement and Neutron."""

import contextlib
import math
from typing import Any

from tempest import config
from tempest.common import compute
from tempest.lib import exceptions

from bsdgate.tempest_plugin.waiting import wait_for

CONF = config.CONF

Held = dict[str, dict[str, int]]
"""By resource provider: amounts by resource class."""


def create(test: Any, **attributes: Any) -> str:
    """Ask for a server of the primary tenant and return its id; it goes with the test.

    It stands on the tenant's network unless ``networks`` says otherwise.
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
    """Wait until a server has a status; going to ERROR instead raises at once, with its fault."""

    def reached() -> bool:
        server = show(test, server_id)
        if server["status"] == "ERROR":
            raise exceptions.TempestException(f"{server_id}: {server.get('fault')}")
        return bool(server["status"] == status)

    wait_for(reached, CONF.compute.build_timeout, f"server {server_id} to be {status}")


def wait_for_failure(test: Any, server_id: str) -> dict[str, Any]:
    """Wait until a server goes to ERROR and return it; going to ACTIVE instead raises at once."""

    def failed() -> bool:
        status = show(test, server_id)["status"]
        if status == "ACTIVE":
            raise exceptions.TempestException(f"{server_id} is ACTIVE and should have failed")
        return bool(status == "ERROR")

    wait_for(failed, CONF.compute.build_timeout, f"server {server_id} to fail")
    return show(test, server_id)


def show(test: Any, server_id: str) -> dict[str, Any]:
    """Return a server as an administrator sees it, with the host that it is on."""
    server: dict[str, Any] = test.os_admin.servers_client.show_server(server_id)["server"]
    return server


def discard(test: Any, server_id: str) -> None:
    """Delete a server and wait until it is gone; one that is gone already is fine."""
    client = test.os_admin.servers_client
    with contextlib.suppress(exceptions.NotFound):
        client.delete_server(server_id)
    wait_for(
        lambda: _is_gone(client, server_id),
        CONF.compute.build_timeout,
        f"server {server_id} to be gone",
    )


def _is_gone(client: Any, server_id: str) -> bool:
    try:
        client.show_server(server_id)
    except exceptions.NotFound:
        return True
    return False


def held(test: Any, consumer: str) -> Held:
    """Return what Placement says that a server, or a migration, holds."""
    allocations = test.os_admin.placement_client.list_allocations(consumer)["allocations"]
    return {provider: each["resources"] for provider, each in allocations.items()}


def sizes(test: Any, flavor_id: str) -> dict[str, int]:
    """Return what a flavor without extra specs takes from a host."""
    flavor = test.os_admin.flavors_client.show_flavor(flavor_id)["flavor"]
    # Swap is in MiB, and an empty string where there is none.
    swap = math.ceil(int(flavor["swap"] or 0) / 1024)
    disk = flavor["disk"] + flavor["OS-FLV-EXT-DATA:ephemeral"] + swap
    amounts = {"VCPU": flavor["vcpus"], "MEMORY_MB": flavor["ram"], "DISK_GB": disk}
    return {name: amount for name, amount in amounts.items() if amount}


def ports(test: Any, server_id: str) -> list[dict[str, Any]]:
    """Return the ports of a server, as an administrator sees them."""
    listed = test.os_admin.ports_client.list_ports(device_id=server_id)
    return list(listed["ports"])
