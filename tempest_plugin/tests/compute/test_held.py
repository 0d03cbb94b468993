# SPDX-License-Identifier: Apache-2.0
"""Resources that servers hold on hosts and networks, from creation to deletion."""

from tempest import config
from tempest.lib import decorators
from tempest.lib.common import api_microversion_fixture
from tempest.lib.common.utils import data_utils

from bsdgate.tempest_plugin import servers
from bsdgate.tempest_plugin.tests.base import ClusterTest
from bsdgate.tempest_plugin.waiting import wait_for

CONF = config.CONF

DISK_OF_NO_HOST = 1 << 20
"""A disk size in GiB (1 PiB). For memory or processors, a quota would refuse such a size."""


class HeldTest(ClusterTest):
    """Covers a virt driver that reports the resources of its guests wrongly.

    If bhyve fails to destroy a guest completely, memory, a ZFS clone and an epair
    remain. Then Placement either has no allocation for these (the host is
    overcommitted) or has an allocation for released resources (the host fills up).
    """

    services = ("nova", "neutron")
    credentials = ("primary", "admin")
    networked = True

    def wait_until_nothing_is_held(self, server: str) -> None:
        """Wait until a deleted or failed server has no allocations and no ports."""
        wait_for(
            lambda: not servers.held(self, server) and not servers.ports(self, server),
            CONF.compute.build_timeout,
            f"allocations and ports of {server} to be removed",
        )

    @decorators.idempotent_id("695a8f19-f2fa-4073-abe1-96e9e829399b")
    @decorators.attr(type="smoke")
    def test_deleted_server_holds_nothing(self) -> None:
        """A server holds the resources of its flavor on its host; after deletion, none."""
        server = servers.boot(self)

        held = servers.held(self, server)
        self.assertEqual([servers.sizes(self, CONF.compute.flavor_ref)], list(held.values()))
        provider = self.os_admin.resource_providers_client.show_resource_provider(*held)
        shown = servers.show(self, server)
        self.assertEqual(shown["OS-EXT-SRV-ATTR:hypervisor_hostname"], provider["name"])
        self.assertEqual(["ACTIVE"], [port["status"] for port in servers.ports(self, server)])

        servers.discard(self, server)
        self.wait_until_nothing_is_held(server)

    @decorators.idempotent_id("fe25329e-1d5b-4e95-925d-ed9fef537a5e")
    @decorators.attr(type="smoke")
    def test_server_without_a_host_holds_nothing(self) -> None:
        """A server too large for every host goes to ERROR and holds no resources."""
        client = self.os_admin.flavors_client
        flavor = client.create_flavor(
            name=data_utils.rand_name("too-large", prefix=CONF.resource_name_prefix),
            ram=64,
            vcpus=1,
            disk=DISK_OF_NO_HOST,
        )["flavor"]["id"]
        self.addCleanup(client.delete_flavor, flavor)

        server = servers.create(self, flavor=flavor)
        failed = servers.wait_for_failure(self, server)

        self.assertIn("No valid host", failed["fault"]["message"])
        self.wait_until_nothing_is_held(server)


class ResizeTest(ClusterTest):
    """Covers a virt driver that resizes a guest by moving its disk.

    Until a resize is confirmed or reverted, both the server and its migration
    hold resources. After that only the server may hold resources; otherwise each
    resize reduces the free resources of the host.
    """

    services = ("nova", "neutron")
    credentials = ("primary", "admin")
    networked = True

    @classmethod
    def skip_checks(cls) -> None:
        super().skip_checks()
        if not CONF.compute_feature_enabled.resize:
            raise cls.skipException("[compute-feature-enabled] resize is not set in tempest.conf")
        if CONF.compute.flavor_ref_alt in {CONF.compute.flavor_ref, ""}:
            raise cls.skipException("[compute] flavor_ref_alt is unset or the same as flavor_ref")

    def setUp(self) -> None:
        super().setUp()
        old, new = CONF.compute.flavor_ref, CONF.compute.flavor_ref_alt
        self.small, self.large = servers.sizes(self, old), servers.sizes(self, new)
        self.server = servers.boot(self)
        self.os_primary.servers_client.resize_server(self.server, new)
        servers.wait_for_status(self, self.server, "VERIFY_RESIZE")
        self.migration = self._migration()
        self.assertEqual((self.large, self.small), self._held())

    def _migration(self) -> str:
        # The first microversion that returns the UUID of a migration.
        with api_microversion_fixture.APIMicroversionFixture(compute_microversion="2.59"):
            migrations = self.os_admin.migrations_client.list_migrations(instance_uuid=self.server)[
                "migrations"
            ]
        self.assertEqual(1, len(migrations))
        uuid: str = migrations[0]["uuid"]
        return uuid

    def _held(self) -> tuple[dict[str, int], dict[str, int]]:
        """Return the resources of the server and of the migration, each on at most one host."""
        both = [servers.held(self, consumer) for consumer in (self.server, self.migration)]
        self.assertLessEqual({len(each) for each in both}, {0, 1})
        server, migration = (next(iter(each.values()), {}) for each in both)
        return server, migration

    @decorators.idempotent_id("fa9b7800-702e-4aa7-8eaf-b9c5e85d12e3")
    def test_confirmed_resize_holds_the_new_size(self) -> None:
        """After the confirmation, only the server holds resources: those of its new flavor."""
        self.os_primary.servers_client.confirm_resize_server(self.server)
        servers.wait_for_status(self, self.server, "ACTIVE")
        self._wait_to_hold(self.large)

    @decorators.idempotent_id("f61de52d-692c-460d-9bb0-bbfe804ece65")
    def test_reverted_resize_holds_the_old_size(self) -> None:
        """After the revert, only the server holds resources: those of its old flavor."""
        self.os_primary.servers_client.revert_resize_server(self.server)
        servers.wait_for_status(self, self.server, "ACTIVE")
        self._wait_to_hold(self.small)

    def _wait_to_hold(self, amounts: dict[str, int]) -> None:
        wait_for(
            lambda: self._held() == (amounts, {}),
            CONF.compute.build_timeout,
            f"server {self.server} to hold {amounts}, and its migration no resources",
        )
