# SPDX-License-Identifier: Apache-2.0
"""A tenant with a network, a server on it and a board."""

from typing import Any

from tempest import config
from tempest.lib import decorators, exceptions
from tempest.lib.common.utils import data_utils

from bsdgate.tempest_plugin import nodes, servers
from bsdgate.tempest_plugin.tests.base import ClusterTest
from bsdgate.tempest_plugin.waiting import wait_for

CONF = config.CONF

NOTHING: dict[str, set[str]] = {"nodes": set(), "servers": set(), "networks": set(), "ports": set()}


class TenantResourcesTest(ClusterTest):
    """Covers services that work, but do not agree on the owner of resources.

    One token is used in four services, each with its own policy files and
    database. If a FreeBSD port configures one of these wrongly, another tenant can
    list the resources of a tenant, or resources are not removed.
    """

    services = ("nova", "neutron", "ironic")
    credentials = ("primary", "alt", "admin", "system_admin")

    @classmethod
    def setup_clients(cls) -> None:
        super().setup_clients()
        cls.boards = cls.os_system_admin.bsdgate_baremetal.BaremetalClient()

    @decorators.idempotent_id("7e307b2d-3161-4fe5-a025-a4492ec0519f")
    def test_resources_are_visible_to_their_tenant_only_and_removed(self) -> None:
        """Only a tenant can list its own board, server, network and port; all can be removed."""
        board = self._board()
        network = self._network()
        server = servers.boot(self, networks=[{"uuid": network}])
        (port,) = servers.ports(self, server)
        resources = {
            "nodes": {board},
            "servers": {server},
            "networks": {network},
            "ports": {port["id"]},
        }

        self.assertEqual(resources, self._listed(self.os_primary, resources))
        self.assertEqual(NOTHING, self._listed(self.os_alt, resources))

        servers.discard(self, server)
        nodes.remove(self.boards, board)
        self.os_primary.networks_client.delete_network(network)
        wait_for(
            lambda: not servers.held(self, server),
            CONF.compute.build_timeout,
            f"allocations of {server} to be removed",
        )
        self.assertEqual(NOTHING, self._listed(self.os_primary, resources))
        self.assertEqual(NOTHING, self._listed(self.os_admin, resources))

    def _board(self) -> str:
        """Deploy a board and lease it to the tenant."""
        tenant = self.os_primary.credentials.project_id
        kind = data_utils.rand_name("tenant", prefix=CONF.resource_name_prefix)
        board = nodes.enroll(self, self.boards, resource_class=kind, lessee=tenant)
        nodes.provide(self.boards, [board])
        nodes.drive(self.boards, [board], "active", "active")
        return board

    def _network(self) -> str:
        name = data_utils.rand_name("tenant", prefix=CONF.resource_name_prefix)
        client = self.os_primary.networks_client
        network: str = client.create_network(name=name)["network"]["id"]
        self.addCleanup(_ignoring_absence, client.delete_network, network)
        self.os_primary.subnets_client.create_subnet(
            name=name, network_id=network, cidr="198.18.2.0/24", ip_version=4
        )
        return network

    def _listed(self, manager: Any, resources: dict[str, set[str]]) -> dict[str, set[str]]:
        """Return the ids in ``resources`` that an account can list, by kind."""
        boards = manager.bsdgate_baremetal.BaremetalClient()
        listed = {
            "nodes": {each["uuid"] for each in boards.list_nodes()["nodes"]},
            "servers": _ids(manager.servers_client.list_servers()["servers"]),
            "networks": _ids(manager.networks_client.list_networks()["networks"]),
            "ports": _ids(manager.ports_client.list_ports()["ports"]),
        }
        return {kind: listed[kind] & ids for kind, ids in resources.items()}


def _ids(resources: list[dict[str, Any]]) -> set[str]:
    return {each["id"] for each in resources}


def _ignoring_absence(delete: Any, resource: str) -> None:
    try:
        delete(resource)
    except exceptions.NotFound:
        return
