# SPDX-License-Identifier: Apache-2.0
"""Several boards in Ironic's state machine at the same time, and the allocation of boards."""

from typing import Any

from tempest import config
from tempest.lib import decorators, exceptions
from tempest.lib.common.utils import data_utils

from bsdgate.tempest_plugin import nodes
from bsdgate.tempest_plugin.tests.base import ClusterTest

CONF = config.CONF

BOARDS = 4


class BoardsTest(ClusterTest):
    """Covers a rack of boards behind one conductor on FreeBSD.

    Each test has a resource class of its own, so that the allocations of other
    tests do not take the nodes of this test.
    """

    services = ("ironic",)
    credentials = ("system_admin",)

    @classmethod
    def setup_clients(cls) -> None:
        super().setup_clients()
        cls.client = cls.os_system_admin.bsdgate_baremetal.BaremetalClient()

    def setUp(self) -> None:
        super().setUp()
        self.resource_class = data_utils.rand_name("board", prefix=CONF.resource_name_prefix)

    def enroll(self, *, traits: tuple[str, ...] = ()) -> str:
        """Enroll a board of this test's resource class and return its UUID."""
        uuid = nodes.enroll(self, self.client, resource_class=self.resource_class)
        self.client.set_node_traits(uuid, list(traits))
        return uuid

    def allocate(self, **wanted: Any) -> dict[str, Any]:
        """Request a board of this test's resource class; return the final allocation."""
        return nodes.allocate(self, self.client, resource_class=self.resource_class, **wanted)

    @decorators.idempotent_id("c120afc5-de82-4272-8ef8-62d95816e875")
    @decorators.attr(type="smoke")
    def test_boards_are_deployed_and_undeployed_in_parallel(self) -> None:
        """Boards are allocated, deployed and undeployed in parallel; no state is left in a node.

        One conductor manages boards that share a power distribution unit. Errors
        such as a lock that is left on a node, or the instance of one board written
        to another, occur only when boards are deployed in parallel.
        """
        boards = [self.enroll() for _ in range(BOARDS)]
        nodes.provide(self.client, boards)
        allocations = [self.allocate() for _ in boards]
        self.assertEqual(["active"] * BOARDS, [each["state"] for each in allocations])
        self.assertCountEqual(boards, [each["node_uuid"] for each in allocations])

        nodes.drive(self.client, boards, "active", "active")
        instances = {self.client.show_node(each)["instance_uuid"] for each in boards}
        self.assertEqual({each["uuid"] for each in allocations}, instances)

        nodes.drive(self.client, boards, "deleted", "available")
        for board in boards:
            node = self.client.show_node(board)
            left = {
                name: node[name]
                for name in ("allocation_uuid", "instance_uuid", "instance_info", "last_error")
                if node[name]
            }
            self.assertEqual({}, left)
        for allocation in allocations:
            self.assertRaises(exceptions.NotFound, self.client.show_allocation, allocation["uuid"])

    @decorators.idempotent_id("90de5bcf-3690-4735-8766-49769668ded4")
    @decorators.attr(type="smoke")
    def test_purecap_allocation_takes_no_other_board(self) -> None:
        """When the only pure-capability board is taken, the next allocation of such a board fails.

        A board without the extension cannot run a pure-capability image, so Ironic
        must not choose such a board.
        """
        trait = CONF.bsdgate.purecap_trait
        plain, purecap, other = self.enroll(), self.enroll(traits=(trait,)), self.enroll()
        nodes.provide(self.client, [plain, purecap, other])

        first, second = self.allocate(traits=[trait]), self.allocate(traits=[trait])
        anything = self.allocate()

        self.assertEqual(("active", purecap), (first["state"], first["node_uuid"]))
        self.assertEqual(("error", None), (second["state"], second["node_uuid"]))
        self.assertEqual("active", anything["state"])
        self.assertIn(anything["node_uuid"], (plain, other))

    @decorators.idempotent_id("33a06461-d520-48d1-826b-36c5fc82fc74")
    @decorators.attr(type="smoke")
    def test_purecap_instance_is_refused_by_another_board(self) -> None:
        """Ironic refuses to deploy an instance to a board that lacks a trait of the instance.

        Without Nova, this is the only check that prevents the deployment of an
        image that the board cannot run.
        """
        board = self.enroll()
        nodes.provide(self.client, [board])
        self.client.update_node(board, instance_info={"traits": [CONF.bsdgate.purecap_trait]})

        self.assertRaises(
            exceptions.BadRequest, self.client.set_node_provision_state, board, "active"
        )
        nodes.wait_until_settled(self.client, board, provision_state="available")

        self.client.set_node_traits(board, [CONF.bsdgate.purecap_trait])
        nodes.drive(self.client, [board], "active", "active")

    @decorators.idempotent_id("966b506f-40af-48e4-b2bb-a33866238160")
    @decorators.attr(type="smoke")
    def test_board_in_maintenance_is_not_allocated(self) -> None:
        """A board in maintenance is not allocated; after maintenance, it can be allocated.

        A laboratory takes boards out of use to reflash them by hand. A board that
        is powered off meanwhile may be damaged.
        """
        board = self.enroll()
        nodes.provide(self.client, [board])

        self.client.update_node(board, maintenance=True)
        self.assertEqual("error", self.allocate()["state"])
        self.client.update_node(board, maintenance=False)

        allocation = self.allocate()
        self.assertEqual(("active", board), (allocation["state"], allocation["node_uuid"]))
