# SPDX-License-Identifier: Apache-2.0
"""Nova's fake virt driver with an identity that lasts (option ``compute_driver``).

Promises of a real hypervisor that are not kept: all of them. A server is an
entry in a dictionary; it has a power state and no guest, disk or console.
"""

from typing import Any

from nova.virt import fake, node


class FakeDriver(fake.SameHostColdMigrateDriver):
    """Nova's own fake driver, reporting the same compute node after a restart."""

    vcpus = 256
    memory_mb = 1024 * 1024
    local_gb = 100 * 1024

    def get_available_resource(self, nodename: str) -> dict[str, Any]:
        """Report the resources of the parent, under the identity that Nova keeps in its state.

        Without it Nova makes a new one at every start, and refuses to register
        a second compute node of the same name.
        """
        resources: dict[str, Any] = super().get_available_resource(nodename)
        return resources | {"uuid": node.get_local_node_uuid()}
