# SPDX-License-Identifier: Apache-2.0
"""The base class of every test class of the plugin."""

from typing import ClassVar

from tempest import config, test
from tempest.lib import exceptions

CONF = config.CONF


class ClusterTest(test.BaseTestCase):
    """A test class that lists the services it needs; it is skipped if one is not available."""

    credentials: ClassVar[tuple[str, ...]] = ("primary",)

    services: ClassVar[tuple[str, ...]] = ()
    """The services needed, named as in group ``[service_available]`` of tempest.conf."""

    networked: ClassVar[bool] = False
    """Whether a tenant that Tempest creates gets a network with a subnet."""

    @classmethod
    def skip_checks(cls) -> None:
        """Skip the class if a service is not available."""
        super().skip_checks()
        for name in cls.services:
            # Ironic's option exists only if ironic-tempest-plugin is installed.
            if not getattr(CONF.service_available, name, False):
                raise cls.skipException(f"[service_available] {name} is not set in tempest.conf")

    @classmethod
    def setup_credentials(cls) -> None:
        """Request the accounts of the tenants, with a network only if the class needs one.

        :raises InvalidConfiguration: two tenants have the same project, which
            pre-provisioned accounts permit.
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
                "the accounts of primary and alt have the same project; put accounts without roles,"
                " each with its own project, first in the accounts file"
            )
