# SPDX-License-Identifier: Apache-2.0
"""One client for all endpoints of the catalogue; its methods have full URLs as arguments."""

import json
from dataclasses import dataclass
from typing import Any

import urllib3
from tempest.lib.common import rest_client


@dataclass(frozen=True)
class Endpoint:
    """One endpoint of the catalogue."""

    service: str
    interface: str
    url: str


class EndpointsClient(rest_client.RestClient):
    """Sends requests to any service of the catalogue, with any token or without one.

    A response with an error status is returned, not raised: the tests check the
    status.
    """

    def list_endpoints(self) -> list[Endpoint]:
        """Return the endpoints of the client's region."""
        _, token = self.auth_provider.auth_data
        return [
            Endpoint(service["type"], endpoint["interface"], endpoint["url"])
            for service in token["catalog"]
            for endpoint in service["endpoints"]
            if endpoint["region"] == self.region
        ]

    def show_status(self, url: str, token: str, method: str = "GET") -> int:
        """Send a request with a token to a URL; return the HTTP status of the response."""
        headers = self.get_headers() | {"X-Auth-Token": token}
        response, _ = self.raw_request(url, method, headers=headers)
        status: int = response.status
        return status

    def show_document(self, url: str) -> tuple[int, Any]:
        """Send a request without a token to a URL; return status and JSON body.

        :raises ConnectionError: there is no response.
        :raises ValueError: the body is not JSON.
        """
        try:
            response, body = self.raw_request(url, "GET", headers=self.get_headers())
        except urllib3.exceptions.HTTPError as error:
            raise ConnectionError(str(error)) from error
        return response.status, json.loads(body)
