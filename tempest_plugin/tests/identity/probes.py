# SPDX-License-Identifier: Apache-2.0
"""One harmless request for each service, to see whether it accepts a token."""

from urllib.parse import urlsplit

from bsdgate.tempest_plugin.services.endpoints_client import Endpoint, EndpointsClient

REQUESTS = {
    "baremetal": ("/v1", "/nodes"),
    "compute": ("/v2.1", "/servers"),
    "identity": ("/v3", "/auth/catalog"),
    "image": ("/v2", "/images"),
    "network": ("/v2.0", "/networks"),
    "placement": ("", "/resource_providers"),
}
"""By type of service: the API's version, which its endpoint may or may not have, and a path."""

OK, UNAUTHORIZED, FORBIDDEN, NOT_FOUND = 200, 401, 403, 404

ACCEPTED = {OK, FORBIDDEN}
"""The service knows who asks; whether they may list this is another matter."""

REFUSED = {UNAUTHORIZED, NOT_FOUND}
"""Keystone itself answers 404 to a token whose project it does not recognise any more."""


def urls(client: EndpointsClient) -> dict[str, str]:
    """Return the request of every service of the catalogue that has one, by type."""
    return {
        endpoint.service: _url(endpoint)
        for endpoint in client.list_endpoints()
        if endpoint.interface == "public" and endpoint.service in REQUESTS
    }


def path(url: str) -> str:
    """Return what an access rule calls a request."""
    return urlsplit(url).path


def accepting(client: EndpointsClient, urls: dict[str, str], token: str) -> set[str]:
    """Return the types of the services that accept a token.

    Raises AssertionError for a service whose answer neither accepts nor refuses.
    """
    statuses = {service: client.show_status(url, token) for service, url in urls.items()}
    others = {name: status for name, status in statuses.items() if status not in ACCEPTED | REFUSED}
    assert not others, f"neither accepted nor refused: {others}"
    return {service for service, status in statuses.items() if status in ACCEPTED}


def _url(endpoint: Endpoint) -> str:
    version, request = REQUESTS[endpoint.service]
    root = endpoint.url.rstrip("/").removesuffix(version)
    return f"{root}{version}{request}"
