# SPDX-License-Identifier: Apache-2.0
"""The catalogue as a client follows it: from the endpoint to the API behind it."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin, urlsplit

from tempest import config
from tempest.lib import decorators

from bsdgate.tempest_plugin.services.endpoints_client import Endpoint, EndpointsClient
from bsdgate.tempest_plugin.tests.base import ClusterTest

CONF = config.CONF

TYPES = {
    "glance": ("image",),
    "ironic": ("baremetal",),
    "neutron": ("network",),
    "nova": ("compute", "placement"),
}
"""By name in ``[service_available]``: types in the catalogue."""

OK, MULTIPLE_CHOICES = 200, 300


class CatalogueTest(ClusterTest):
    """Covers services that listen elsewhere than the catalogue says.

    On FreeBSD each service is started by its own rc.d script, in a jail or on
    an address of its own: one that was not started, is bound to the wrong
    address, or calls itself by the name it has inside its jail, is found here
    by name, before any test fails for reasons that say nothing.
    """

    @classmethod
    def setup_clients(cls) -> None:
        super().setup_clients()
        cls.client = cls.os_primary.bsdgate_endpoints.EndpointsClient()

    @decorators.idempotent_id("d679c9b4-3c65-43c5-93af-41d3f8242b57")
    @decorators.attr(type="smoke")
    def test_every_endpoint_answers_its_version_document(self) -> None:
        """Each service of the cluster is listed, answers, and links to where it was asked."""
        wanted = {"identity"}
        for name, types in TYPES.items():
            if getattr(CONF.service_available, name, False):
                wanted.update(types)
        endpoints = [each for each in self.client.list_endpoints() if each.service in wanted]
        public = {each.service for each in endpoints if each.interface == "public"}
        self.assertEqual(wanted, public)

        reachable = CONF.bsdgate.catalog_interfaces
        asked = [each for each in endpoints if each.interface in reachable]
        found = [problem for each in asked for problem in problems(self.client, each)]
        self.assertEqual([], found)


def problems(client: EndpointsClient, endpoint: Endpoint) -> Iterator[str]:
    """Say what is wrong with the version document of an endpoint; nothing when all is well."""
    where = f"{endpoint.interface} {endpoint.service} at {endpoint.url}"
    try:
        status, document = client.show_document(endpoint.url)
    except (ConnectionError, ValueError) as error:
        yield f"{where}: {error}"
        return
    if status not in {OK, MULTIPLE_CHOICES}:
        yield f"{where} answers {status}"
        return
    links = _self_links(document)
    if not links:
        yield f"{where} names no version: {document}"
    for link in links:
        # Placement's is empty, which is the document itself.
        if _origin(urljoin(endpoint.url, link)) != _origin(endpoint.url):
            yield f"{where} links to {link}"


def _self_links(document: dict[str, Any]) -> list[str]:
    """Return where a list of versions, or the document of one, says that they are."""
    versions = document.get("versions") or [document.get("version", {})]
    # The list at Keystone's root is wrapped once more.
    versions = versions["values"] if isinstance(versions, dict) else versions
    links = [link for version in versions for link in version.get("links", [])]
    return [link["href"] for link in links if link["rel"] == "self"]


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc
