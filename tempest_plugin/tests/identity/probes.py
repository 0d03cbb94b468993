# SPDX-License-Identifier: Apache-2.0
"""One read-only request for each service, to find out whether the service accepts a token."""

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
"""By service type: the API version, which the endpoint may or may not include, and a path."""

OK, UNAUTHORIZED, FORBIDDEN, NOT_FOUND = 200, 401, 403, 404

ACCEPTED = {OK, FORBIDDEN}
"""The service accepts the token; with FORBIDDEN its policy refuses only this request."""

REFUSED = {UNAUTHORIZED, NOT_FOUND}
"""Keystone returns NOT_FOUND for a token of a project that is disabled."""


def urls(client: EndpointsClient) -> dict[str, str]:
    """Return the URL of the request for each service of the catalogue in REQUESTS, by type."""
    return {
        endpoint.service: _url(endpoint)
        for endpoint in client.list_endpoints()
        if endpoint.interface == "public" and endpoint.service in REQUESTS
    }


def path(url: str) -> str:
    """Return the path of a request, in the format of access rules."""
    return urlsplit(url).path


def accepting(client: EndpointsClient, urls: dict[str, str], token: str) -> set[str]:
    """Return the types of the services that accept a token.

    :raises AssertionError: a service returned a status that is neither in ACCEPTED nor in REFUSED.
    """
    statuses = {service: client.show_status(url, token) for service, url in urls.items()}
    others = {name: status for name, status in statuses.items() if status not in ACCEPTED | REFUSED}
    assert not others, f"neither accepted nor refused: {others}"
    return {service for service, status in statuses.items() if status in ACCEPTED}


def _url(endpoint: Endpoint) -> str:
    version, request = REQUESTS[endpoint.service]
    root = endpoint.url.rstrip("/").removesuffix(version)
    return f"{root}{version}{request}"
