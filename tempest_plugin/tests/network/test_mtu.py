# SPDX-License-Identifier: Apache-2.0
"""The MTU of tenant networks, compared with the MTU of the physical network."""

from tempest import config
from tempest.lib import decorators
from tempest.lib.common.utils import data_utils

from bsdgate.tempest_plugin.tests.base import ClusterTest

CONF = config.CONF

IP_HEADER = {4: 20, 6: 40}
ENCAPSULATION = {
    # UDP 8, VXLAN 8, inner Ethernet 14.
    "vxlan": 30,
    # UDP 8, Geneve 8 without options, inner Ethernet 14.
    "geneve": 30,
    # GRE 8 with its key, inner Ethernet 14.
    "gre": 22,
}
"""The bytes of a tunnel between the underlay's IP header and the tenant's packet."""


class TenantMtuTest(ClusterTest):
    """Covers tunnels for which the host does not handle the MTU.

    A bridge does not reply "packet too big" to a guest. With an MTU that is too
    large for its tunnel, a network passes pings, and connections hang at the first
    full frame.
    """

    services = ("neutron",)
    credentials = ("primary", "admin")

    @decorators.idempotent_id("b457a6ac-0cd0-4382-8d7d-1d0ddad6df85")
    @decorators.attr(type="smoke")
    def test_tenant_packet_fits_into_the_underlay(self) -> None:
        """A tenant's largest packet, with its encapsulation, is not larger than underlay_mtu."""
        client = self.os_primary.networks_client
        name = data_utils.rand_name("mtu", prefix=CONF.resource_name_prefix)
        network = client.create_network(name=name)["network"]
        self.addCleanup(client.delete_network, network["id"])

        shown = self.os_admin.networks_client.show_network(network["id"])["network"]
        kind = shown["provider:network_type"]
        header = IP_HEADER[CONF.bsdgate.underlay_ip_version] if kind in ENCAPSULATION else 0

        # The minimum MTU of a link for IPv6.
        self.assertGreaterEqual(network["mtu"], 1280)
        wrapped = network["mtu"] + header + ENCAPSULATION.get(kind, 0)
        self.assertLessEqual(wrapped, CONF.bsdgate.underlay_mtu, kind)
