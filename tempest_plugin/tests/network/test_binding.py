# SPDX-License-Identifier: Apache-2.0
"""The binding of a port while its server runs, and after the server is deleted."""

from typing import Any

from tempest import config
from tempest.lib import decorators
from tempest.lib.common.utils import data_utils

from bsdgate.tempest_plugin import servers
from bsdgate.tempest_plugin.tests.base import ClusterTest
from bsdgate.tempest_plugin.waiting import wait_for

CONF = config.CONF

UNBOUND = {
    "binding:host_id": "",
    "binding:vif_type": "unbound",
    "device_id": "",
    "device_owner": "",
    "status": "DOWN",
}


class PortBindingTest(ClusterTest):
    """Covers a mechanism driver and an agent other than Open vSwitch's.

    On FreeBSD a bound port is an epair and a bridge member on one host. If the
    binding remains after its server is deleted, both remain on the host, and the
    tenant's frames are sent to a host without a receiver.
    """

    services = ("nova", "neutron")
    credentials = ("primary", "admin")

    @decorators.idempotent_id("675dfece-5b6f-4033-9734-187667c787c3")
    @decorators.attr(type="smoke")
    def test_port_is_bound_to_the_host_of_its_server_and_unbound_after(self) -> None:
        """A port is ACTIVE on the host of its server, and unbound after the server's deletion."""
        port = self._port()
        self.assertEqual(UNBOUND, self._binding(port))

        server = servers.boot(self, networks=[{"port": port}])
        bound = self._binding(port)
        self.assertNotIn(bound.pop("binding:vif_type"), ("unbound", "binding_failed"))
        host = servers.show(self, server)["OS-EXT-SRV-ATTR:host"]
        self.assertEqual(("ACTIVE", host), (bound["status"], bound["binding:host_id"]))
        self.assertEqual(server, bound["device_id"])

        servers.discard(self, server)
        wait_for(
            lambda: self._binding(port) == UNBOUND,
            CONF.network.build_timeout,
            f"port {port} to be unbound",
        )

    def _port(self) -> str:
        name = data_utils.rand_name("binding", prefix=CONF.resource_name_prefix)
        client = self.os_primary
        network = client.networks_client.create_network(name=name)["network"]["id"]
        self.addCleanup(client.networks_client.delete_network, network)
        client.subnets_client.create_subnet(
            name=name, network_id=network, cidr="198.18.1.0/24", ip_version=4
        )
        port: str = client.ports_client.create_port(name=name, network_id=network)["port"]["id"]
        # Only the admin can delete a port that is still bound.
        self.addCleanup(self.os_admin.ports_client.delete_port, port)
        return port

    def _binding(self, port: str) -> dict[str, Any]:
        shown = self.os_admin.ports_client.show_port(port)["port"]
        return {name: shown[name] for name in UNBOUND}
