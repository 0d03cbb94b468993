# SPDX-License-Identifier: Apache-2.0
"""Two tenants that must have no access to each other's resources."""

from collections.abc import Callable
from typing import Any

from tempest import config
from tempest.lib import decorators, exceptions
from tempest.lib.common.utils import data_utils

from bsdgate.tempest_plugin.tests.base import ClusterTest

CONF = config.CONF

# RFC 2544 reserves these addresses for benchmarks, so no network in use has them.
CIDR = "198.18.0.0/24"
ADDRESS = "198.18.0.10"


class IsolationTest(ClusterTest):
    """Covers tenant networks isolated by VNET, bridges and pf instead of Open vSwitch.

    Isolation on a host depends on isolation in the API: Neutron must let a tenant
    use only its own resources. A back end that identifies ports by address instead
    of by network fails when two tenants choose the same address.
    """

    services = ("neutron",)
    credentials = ("primary", "alt")

    def _resources(self, manager: Any) -> dict[str, str]:
        """Create a network, a subnet and a port of a tenant; return their ids by type."""
        name = data_utils.rand_name("isolation", prefix=CONF.resource_name_prefix)
        network = manager.networks_client.create_network(name=name)["network"]["id"]
        self.addCleanup(manager.networks_client.delete_network, network)
        subnet = manager.subnets_client.create_subnet(
            name=name, network_id=network, cidr=CIDR, ip_version=4
        )["subnet"]["id"]
        port = manager.ports_client.create_port(
            name=name, network_id=network, fixed_ips=[{"ip_address": ADDRESS}]
        )["port"]["id"]
        self.addCleanup(manager.ports_client.delete_port, port)
        return {"network": network, "subnet": subnet, "port": port}

    @decorators.idempotent_id("16fdfe20-ebf5-45ad-bfd3-df6fead8bf7e")
    @decorators.attr(type="smoke")
    def test_tenants_use_the_same_addresses(self) -> None:
        """Two tenants create the same subnet and address, and each can list only its own."""
        ours, theirs = self._resources(self.os_primary), self._resources(self.os_alt)
        fixed_ips = [f"ip_address={ADDRESS}"]
        for manager, own in ((self.os_primary, ours), (self.os_alt, theirs)):
            subnets = manager.subnets_client.list_subnets(cidr=CIDR)["subnets"]
            ports = manager.ports_client.list_ports(fixed_ips=fixed_ips)["ports"]
            self.assertEqual([own["subnet"]], [each["id"] for each in subnets])
            self.assertEqual([own["port"]], [each["id"] for each in ports])

    @decorators.idempotent_id("ab4f08d0-366e-44c4-aa82-e195e3c60eb7")
    @decorators.attr(type="smoke")
    def test_tenant_cannot_use_resources_of_another(self) -> None:
        """A tenant cannot show, update, delete, use or route to a network of another tenant."""
        theirs = self._resources(self.os_alt)
        us = self.os_primary
        router = us.routers_client.create_router()["router"]["id"]
        self.addCleanup(us.routers_client.delete_router, router)
        network, subnet, port = theirs["network"], theirs["subnet"], theirs["port"]

        self._hidden(us.networks_client.show_network, network)
        self._hidden(us.networks_client.update_network, network, name="ours")
        self._hidden(us.networks_client.delete_network, network)
        self._hidden(us.subnets_client.show_subnet, subnet)
        self._hidden(us.subnets_client.update_subnet, subnet, name="ours")
        self._hidden(us.subnets_client.delete_subnet, subnet)
        self._hidden(us.ports_client.show_port, port)
        self._hidden(us.ports_client.update_port, port, name="ours")
        self._hidden(us.ports_client.delete_port, port)
        self._refused(us.ports_client.create_port, network_id=network)
        self._refused(us.subnets_client.create_subnet, network_id=network, ip_version=4, cidr=CIDR)
        self._refused(us.routers_client.add_router_interface, router, subnet_id=subnet)
        self._refused(us.routers_client.add_router_interface, router, port_id=port)

    def _hidden(self, request: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        # Not Forbidden, which would reveal that the resource exists.
        self.assertRaises(exceptions.NotFound, request, *args, **kwargs)

    def _refused(self, request: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        denials = (exceptions.NotFound, exceptions.Forbidden)
        self.assertRaises(denials, request, *args, **kwargs)
