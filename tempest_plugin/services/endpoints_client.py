# SPDX-License-Identifier: Apache-2.0
"""Every endpoint of the catalogue, asked by its whole URL."""

import json
from dataclasses import dataclass
from typing import Any

import urllib3
from tempest.lib.common import rest_client


@dataclass(frozen=True)
class Endpoint:
    """One URL of the catalogue."""

    service: str
    interface: str
    url: str


class EndpointsClient(rest_client.RestClient):
    """Asks any service of the catalogue, with any token or with none.

    An answer of whatever status is returned, not raised: the status is what
    the tests are about.
    """

    def list_endpoints(self) -> list[Endpoint]:
        """Return the endpoints of this client's region."""
        _, token = self.auth_provider.auth_data
        return [
            Endpoint(service["type"], endpoint["interface"], endpoint["url"])
            for service in token["catalog"]
            for endpoint in service["endpoints"]
            if endpoint["region"] == self.region
        ]

    def show_status(self, url: str, token: str, method: str = "GET") -> int:
        """Return the HTTP status that a token gets at a URL."""
        headers = self.get_headers() | {"X-Auth-Token": token}
        response, _ = self.raw_request(url, method, headers=headers)
        status: int = response.status
        return status

    def show_document(self, url: str) -> tuple[int, Any]:
        """Return status and JSON document that a URL answers to one without a token.

        Raises ConnectionError when nothing answers there, and ValueError when
        what it answers is not JSON.
        """
        try:
            response, body = self.raw_request(url, "GET", headers=self.get_headers())
        except urllib3.exceptions.HTTPError as error:
            raise ConnectionError(str(error)) from error
        return response.status, json.loads(body)
