# SPDX-License-Identifier: Apache-2.0
"""Nova's fake virt driver with a permanent identity (option ``compute_driver``).

Differences from a real hypervisor: a server is only an entry in a dictionary. It
has a power state, but no guest, disk or console. A snapshot is an image that
has only zeros, and the console output is a fixed text.
"""

import io
from collections.abc import Callable
from typing import Any

from nova.image import glance
from nova.virt import fake, node

SNAPSHOT = {"status": "active", "disk_format": "raw", "container_format": "bare"}
SNAPSHOT_BYTES = 1024
CONSOLE_LINES = 20
"""The number of lines of a console: more than a test requests as its last lines."""


class FakeDriver(fake.SameHostColdMigrateDriver):
    """Nova's fake driver, which reports the same compute node after a restart."""

    vcpus = 256
    memory_mb = 1024 * 1024
    local_gb = 100 * 1024

    def get_available_resource(self, nodename: str) -> dict[str, Any]:
        """Return the resources of the base class, with the identity in Nova's state directory.

        Without this identity Nova makes a new one at each start, and refuses to
        register a second compute node of the same name.
        """
        resources: dict[str, Any] = super().get_available_resource(nodename)
        return resources | {"uuid": node.get_local_node_uuid()}

    def snapshot(
        self, context: Any, instance: Any, image_id: str, update_task_state: Callable[..., None]
    ) -> None:
        """Upload content to the image, which the base class leaves in the state queued."""
        super().snapshot(context, instance, image_id, update_task_state)
        glance.API().update(context, image_id, SNAPSHOT, data=io.BytesIO(bytes(SNAPSHOT_BYTES)))

    def get_console_output(self, context: Any, instance: Any) -> str:
        """Return a console output as long as the output of a guest that has booted."""
        del context
        return "".join(f"{instance.uuid} line {n}\n" for n in range(CONSOLE_LINES))

    def get_host_uptime(self) -> str:
        """Return a fixed line in the format of ``uptime``: there is no real host.

        Without this method, Nova's API answers a request for the uptime with an error.
        """
        return " 00:00:00 up 1 day,  0:00,  0 users,  load average: 0.00, 0.00, 0.00"
