# SPDX-License-Identifier: Apache-2.0
"""Images for an architecture that no host of the cluster has."""

import io

from tempest import config
from tempest.common import compute
from tempest.lib import decorators
from tempest.lib.common.utils import data_utils

from bsdgate.tempest_plugin import servers
from bsdgate.tempest_plugin.tests.base import ClusterTest

CONF = config.CONF


class ArchitectureTest(ClusterTest):
    """Covers mixed clusters: amd64 and arm64 hosts, Morello boards among them.

    A virt driver that does not report its architectures to Nova gets guests that
    it cannot start.
    """

    services = ("glance", "nova", "neutron")
    credentials = ("primary", "admin")
    networked = True

    @classmethod
    def skip_checks(cls) -> None:
        super().skip_checks()
        if not compute.is_scheduler_filter_enabled("ImagePropertiesFilter"):
            raise cls.skipException("the scheduler does not use ImagePropertiesFilter")

    @decorators.idempotent_id("1e7b0647-a271-4e8b-9258-6f83190ff27c")
    @decorators.attr(type="smoke")
    def test_image_of_another_architecture_gets_no_host(self) -> None:
        """The scheduler refuses a server for an absent architecture; no host tries to start it."""
        image = self._image(hw_architecture=CONF.bsdgate.foreign_architecture)

        server = servers.create(self, image_id=image)
        failed = servers.wait_for_failure(self, server)

        self.assertIn("No valid host", failed["fault"]["message"])
        self.assertIsNone(failed["OS-EXT-SRV-ATTR:host"])
        self.assertEqual({}, servers.held(self, server))

    def _image(self, **properties: str) -> str:
        client = self.os_primary.image_client_v2
        image: str = client.create_image(
            name=data_utils.rand_name("foreign", prefix=CONF.resource_name_prefix),
            disk_format="raw",
            container_format="bare",
            **properties,
        )["id"]
        self.addCleanup(client.delete_image, image)
        client.store_image_file(image, io.BytesIO(data_utils.random_bytes()))
        return image
