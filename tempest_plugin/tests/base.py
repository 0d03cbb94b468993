# SPDX-License-Identifier: Apache-2.0
"""What every test class of the plugin stands on."""

from typing import ClassVar

from tempest import config, test

CONF = config.CONF


class ClusterTest(test.BaseTestCase):
    """A class of tests that names the services it needs and is skipped where one is missing."""

    credentials: ClassVar[tuple[str, ...]] = ("primary",)

    services: ClassVar[tuple[str, ...]] = ()
    """Names as in group ``[service_available]`` of tempest.conf."""

    networked: ClassVar[bool] = False
    """Whether a tenant that Tempest makes gets a network with a subnet."""

    @classmethod
    def skip_checks(cls) -> None:
        """Skip where a service is not available."""
        super().skip_checks()
        for name in cls.services:
            # Ironic's option exists only where ironic-tempest-plugin is installed.
            if not getattr(CONF.service_available, name, False):
                raise cls.skipException(f"[service_available] {name} is not set in tempest.conf")

    @classmethod
    def setup_credentials(cls) -> None:
        """Ask for the tenants, with no more network than the class needs."""
        cls.set_network_resources(network=cls.networked, subnet=cls.networked)
        super().setup_credentials()
