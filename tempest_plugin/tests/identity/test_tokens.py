# SPDX-License-Identifier: Apache-2.0
"""What a token opens, asked of every service of the catalogue."""

from typing import Any

from tempest import config
from tempest.lib import decorators
from tempest.lib.common.utils import data_utils

from bsdgate.tempest_plugin.tests.base import ClusterTest
from bsdgate.tempest_plugin.tests.identity import probes

CONF = config.CONF


class RevokedTokenTest(ClusterTest):
    """Covers services that do not ask Keystone.

    A port ships configuration files of its own: a service left without its
    token check (``noauth``), or with one that checks tokens by itself, lets in
    who was locked out. No service may be forgotten, so all are asked.
    """

    credentials = ("admin",)

    @classmethod
    def setup_clients(cls) -> None:
        super().setup_clients()
        cls.client = cls.os_admin.bsdgate_endpoints.EndpointsClient()

    @decorators.idempotent_id("204dc279-262a-42d3-be7d-1c46f5609216")
    @decorators.attr(type="smoke")
    def test_token_of_a_disabled_project_opens_no_service(self) -> None:
        """Every service accepts a project's token, and none does once the project is disabled."""
        urls = probes.urls(self.client)
        project, shown, unseen = self._project_with_tokens()
        self.assertEqual(set(urls), probes.accepting(self.client, urls, shown))

        self.os_admin.projects_client.update_project(project, enabled=False)

        # A token check may go on trusting a token that it has seen, for minutes.
        self.assertEqual(set(), probes.accepting(self.client, urls, unseen))

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
        shown, unseen = (
            admin.token_v3_client.auth(user_id=user, password=password, project_id=project)
            for _ in range(2)
        )
        return project, shown.response["x-subject-token"], unseen.response["x-subject-token"]

    def _role(self, name: str) -> Any:
        roles = self.os_admin.roles_v3_client.list_roles(name=name)["roles"]
        self.assertEqual([name], [role["name"] for role in roles])
        return roles[0]["id"]


class AccessRuleTest(ClusterTest):
    """Covers services that do not know their own name in the catalogue.

    Access rules are kept by each service's token check, by the option
    ``[keystone_authtoken] service_type``. A port whose sample file leaves it
    out refuses all restricted credentials; one that copies it from another
    service opens what was not granted.
    """

    @classmethod
    def setup_clients(cls) -> None:
        super().setup_clients()
        cls.client = cls.os_primary.bsdgate_endpoints.EndpointsClient()

    @decorators.idempotent_id("f654e486-3f82-4940-b870-ce3451ce8ca2")
    @decorators.attr(type="smoke")
    def test_restricted_credential_opens_its_service_only(self) -> None:
        """For each service: a credential for one request there gets in there and nowhere else."""
        urls = probes.urls(self.client)
        opened = {}
        for service, url in urls.items():
            token = self._token({"service": service, "method": "GET", "path": probes.path(url)})
            opened[service] = probes.accepting(self.client, urls, token)
        self.assertEqual({service: {service} for service in urls}, opened)

    @decorators.idempotent_id("acd871bf-7322-4ef5-bc75-aaf8571fc077")
    @decorators.attr(type="smoke")
    def test_restricted_credential_opens_its_request_only(self) -> None:
        """A credential that may list servers may not create one, nor list anything else."""
        url = probes.urls(self.client)["compute"]
        token = self._token({"service": "compute", "method": "GET", "path": probes.path(url)})
        others = [
            (url, "POST"),
            (f"{url}/detail", "GET"),
            (url.replace("servers", "flavors"), "GET"),
        ]

        self.assertEqual(probes.OK, self.client.show_status(url, token))
        refused = [self.client.show_status(other, token, method) for other, method in others]

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
