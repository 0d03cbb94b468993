# SPDX-License-Identifier: Apache-2.0
"""What every test class of the plugin stands on."""

from typing import ClassVar

from tempest import config, test
from tempest.lib import exceptions

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
        """Ask for the tenants, with no more network than the class needs.

        With pre-provisioned accounts Tempest may give two tenants of one project.
        """
        cls.set_network_resources(network=cls.networked, subnet=cls.networked)
        super().setup_credentials()
        tenants = [
            getattr(cls, f"os_{kind}").credentials.project_id
            for kind in ("primary", "alt")
            if kind in cls.credentials
        ]
        if len(set(tenants)) < len(tenants):
            raise exceptions.InvalidConfiguration(
                "the accounts of primary and alt are of one project; put accounts without roles,"
                " each with a project of its own, first in the accounts file"
            )
