# SPDX-License-Identifier: Apache-2.0
"""Requests to Zuul's API, of one tenant."""

from dataclasses import dataclass
from typing import Any

import requests
from functional.place import wait_for
from functional.server_process import START
from functional.zuul_stack.layout import TENANT


@dataclass(frozen=True)
class Api:
    """Zuul's API at a URL."""

    url: str

    def get(self, path: str, **query: str | int) -> Any:
        """Return the answer to a request below the tenant."""
        url = f"{self.url}/api/tenant/{TENANT}/{path}"
        response = requests.get(url, params=query, timeout=START)
        assert response.ok, f"{response.url}: {response.status_code} {response.text}"
        return response.json()

    def builds(self, change: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("builds", change=change)
        return found

    def buildsets(self, change: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("buildsets", change=change)
        return found

    def build(self, uuid: str) -> dict[str, Any]:
        """Return a build when it has a result: a report can come before the API knows it."""
        return wait_for(lambda: self._ended(uuid), f"the result of build {uuid}")

    def _ended(self, uuid: str) -> dict[str, Any]:
        """Return a build that has a result, or an empty dictionary."""
        found: list[dict[str, Any]] = self.get("builds", uuid=uuid)
        return next((each for each in found if each["result"]), {})
