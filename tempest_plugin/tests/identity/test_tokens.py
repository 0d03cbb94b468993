# SPDX-License-Identifier: Apache-2.0
"""Tokens that every service of the catalogue must accept or refuse."""

from typing import Any

from tempest import config
from tempest.lib import decorators
from tempest.lib.common.utils import data_utils

from bsdgate.tempest_plugin.tests.base import ClusterTest
from bsdgate.tempest_plugin.tests.identity import probes

CONF = config.CONF


class RevokedTokenTest(ClusterTest):
    """Covers services that do not validate tokens at Keystone.

    A FreeBSD port has its own configuration files. A service without a token check
    (``noauth``), or with a check that does not use Keystone, accepts revoked
    tokens. So the test sends a request to every service.
    """

    credentials = ("admin",)

    @classmethod
    def setup_clients(cls) -> None:
        super().setup_clients()
        cls.client = cls.os_admin.bsdgate_endpoints.EndpointsClient()

    @decorators.idempotent_id("204dc279-262a-42d3-be7d-1c46f5609216")
    @decorators.attr(type="smoke")
    def test_token_of_a_disabled_project_is_refused_by_all_services(self) -> None:
        """All services accept tokens of a project, but refuse them when the project is disabled."""
        urls = probes.urls(self.client)
        project, used, unused = self._project_with_tokens()
        self.assertEqual(set(urls), probes.accepting(self.client, urls, used))

        self.os_admin.projects_client.update_project(project, enabled=False)

        # A token check may cache a token that it has validated, for minutes.
        self.assertEqual(set(), probes.accepting(self.client, urls, unused))

    def _project_with_tokens(self) -> tuple[str, str, str]:
        admin = self.os_admin
        name = data_utils.rand_name("revoked", prefix=CONF.resource_name_prefix)
        password = data_utils.rand_password()
        domain = admin.credentials.project_domain_id
        project = admin.projects_client.create_project(name, domain_id=domain)["project"]["id"]
        self.addCleanup(admin.projects_client.delete_project, project)
        user = admin.users_v3_client.create_user(name=name, password=password, domain_id=domain)
        user = user["user"]["id"]
        self.addCleanup(admin.users_v3_client.delete_user, user)
        role = self._role("member")
        admin.roles_v3_client.create_user_role_on_project(project, user, role)
        used, unused = (
            admin.token_v3_client.auth(user_id=user, password=password, project_id=project)
            for _ in range(2)
        )
        return project, used.response["x-subject-token"], unused.response["x-subject-token"]

    def _role(self, name: str) -> Any:
        roles = self.os_admin.roles_v3_client.list_roles(name=name)["roles"]
        self.assertEqual([name], [role["name"] for role in roles])
        return roles[0]["id"]


LISTED = {"compute": ("servers", "flavors"), "baremetal": ("nodes", "ports")}
"""By service type: the resources that a credential may list, and others that it may not."""


class AccessRuleTest(ClusterTest):
    """Covers services with a wrong or missing service type.

    The token check of each service enforces access rules by its option
    ``[keystone_authtoken] service_type``. Without this option, a service refuses
    all restricted credentials; with the type of another service, it accepts
    requests that no rule permits.
    """

    @classmethod
    def setup_clients(cls) -> None:
        super().setup_clients()
        cls.client = cls.os_primary.bsdgate_endpoints.EndpointsClient()

    @decorators.idempotent_id("f654e486-3f82-4940-b870-ce3451ce8ca2")
    @decorators.attr(type="smoke")
    def test_restricted_credential_is_accepted_by_its_service_only(self) -> None:
        """Only one service accepts a credential that is restricted to a request of this service."""
        urls = probes.urls(self.client)
        accepted = {}
        for service, url in urls.items():
            token = self._token({"service": service, "method": "GET", "path": probes.path(url)})
            accepted[service] = probes.accepting(self.client, urls, token)
        self.assertEqual({service: {service} for service in urls}, accepted)

    @decorators.idempotent_id("acd871bf-7322-4ef5-bc75-aaf8571fc077")
    @decorators.attr(type="smoke")
    def test_restricted_credential_is_accepted_for_its_request_only(self) -> None:
        """A credential for the list of one type of resources is refused for all other requests."""
        urls = probes.urls(self.client)
        service = next((name for name in LISTED if name in urls), None)
        if service is None:
            raise self.skipException(f"the cloud has none of these services: {', '.join(LISTED)}")
        url, (listed, other) = urls[service], LISTED[service]
        token = self._token({"service": service, "method": "GET", "path": probes.path(url)})
        others = [
            (url, "POST"),
            (f"{url}/detail", "GET"),
            (url.replace(listed, other), "GET"),
        ]

        self.assertIn(self.client.show_status(url, token), probes.ACCEPTED)
        refused = [self.client.show_status(each, token, method) for each, method in others]

        self.assertEqual([probes.UNAUTHORIZED] * len(others), refused)

    def _token(self, rule: dict[str, str]) -> Any:
        client = self.os_primary.application_credentials_client
        user = self.os_primary.credentials.user_id
        name = data_utils.rand_name("restricted", prefix=CONF.resource_name_prefix)
        credential = client.create_application_credential(user, name=name, access_rules=[rule])
        credential = credential["application_credential"]
        self.addCleanup(client.delete_application_credential, user, credential["id"])
        token = self.os_primary.token_v3_client.auth(
            app_cred_id=credential["id"], app_cred_secret=credential["secret"]
        )
        return token.response["x-subject-token"]
