# SPDX-License-Identifier: Apache-2.0
"""Nova's fake virt driver with an identity that lasts (option ``compute_driver``).

Promises of a real hypervisor that are not kept: all of them. A server is an
entry in a dictionary; it has a power state and no guest, disk or console. Its
snapshot is an image without content, its console a text that never changes.
"""

import io
from collections.abc import Callable
from typing import Any

from nova.image import glance
from nova.virt import fake, node

SNAPSHOT = {"status": "active", "disk_format": "raw", "container_format": "bare"}
SNAPSHOT_BYTES = 1024
CONSOLE_LINES = 20
"""More than a user, or a test, asks for when only the end is wanted."""


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

    def snapshot(
        self, context: Any, instance: Any, image_id: str, update_task_state: Callable[..., None]
    ) -> None:
        """Fill the image, which the parent leaves queued for ever."""
        super().snapshot(context, instance, image_id, update_task_state)
        glance.API().update(context, image_id, SNAPSHOT, data=io.BytesIO(bytes(SNAPSHOT_BYTES)))

    def get_console_output(self, context: Any, instance: Any) -> str:
        """Return a console as long as that of a guest that has booted."""
        del context
        return "".join(f"{instance.uuid} line {n}\n" for n in range(CONSOLE_LINES))

    def get_host_uptime(self) -> str:
        """Return what ``uptime`` would print: the parent cannot say, and that is an error."""
        return " 00:00:00 up 1 day,  0:00,  0 users,  load average: 0.00, 0.00, 0.00"
