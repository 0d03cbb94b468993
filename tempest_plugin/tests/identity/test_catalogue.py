# SPDX-License-Identifier: Apache-2.0
"""The endpoints of the catalogue, and the version documents of the APIs."""

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
"""Service types in the catalogue, by name in ``[service_available]``."""

OK, MULTIPLE_CHOICES = 200, 300


class CatalogueTest(ClusterTest):
    """Covers services that do not listen at their endpoint in the catalogue.

    On FreeBSD an rc.d script starts each service, in a jail or on an address of
    its own. This test reports each service that was not started, listens on the
    wrong address, or uses the host name of its jail in its links; other tests
    would fail without a clear reason.
    """

    @classmethod
    def setup_clients(cls) -> None:
        super().setup_clients()
        cls.client = cls.os_primary.bsdgate_endpoints.EndpointsClient()

    @decorators.idempotent_id("d679c9b4-3c65-43c5-93af-41d3f8242b57")
    @decorators.attr(type="smoke")
    def test_every_endpoint_returns_its_version_document(self) -> None:
        """Each service is in the catalogue and responds; its links have the endpoint's host."""
        wanted = {"identity"}
        for name, types in TYPES.items():
            if getattr(CONF.service_available, name, False):
                wanted.update(types)
        endpoints = [each for each in self.client.list_endpoints() if each.service in wanted]
        public = {each.service for each in endpoints if each.interface == "public"}
        self.assertEqual(wanted, public)

        reachable = CONF.bsdgate.catalog_interfaces
        checked = [each for each in endpoints if each.interface in reachable]
        found = [problem for each in checked for problem in problems(self.client, each)]
        self.assertEqual([], found)


def problems(client: EndpointsClient, endpoint: Endpoint) -> Iterator[str]:
    """Yield the problems of the version document of an endpoint."""
    where = f"{endpoint.interface} {endpoint.service} at {endpoint.url}"
    try:
        status, document = client.show_document(endpoint.url)
    except (ConnectionError, ValueError) as error:
        yield f"{where}: {error}"
        return
    if status not in {OK, MULTIPLE_CHOICES}:
        yield f"{where} returns status {status}"
        return
    links = _self_links(document)
    if not links:
        yield f"{where} has no link to a version: {document}"
    for link in links:
        # Placement's link is empty: it is the URL of the document.
        if _origin(urljoin(endpoint.url, link)) != _origin(endpoint.url):
            yield f"{where} links to another server: {link}"


def _self_links(document: dict[str, Any]) -> list[str]:
    """Return the links of type ``self`` in a list of versions or in one version document."""
    versions = document.get("versions") or [document.get("version", {})]
    # Keystone's list is inside one more object.
    versions = versions["values"] if isinstance(versions, dict) else versions
    links = [link for version in versions for link in version.get("links", [])]
    return [link["href"] for link in links if link["rel"] == "self"]


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc
