# SPDX-License-Identifier: Apache-2.0
"""The Bare Metal API, as far as the tests drive nodes and allocations."""

import json
from typing import Any
from urllib.parse import urlencode

from tempest.lib.common import rest_client

Body = dict[str, Any]


class BaremetalClient(rest_client.RestClient):
    """Asks Ironic at one microversion; every method raises tempest.lib's exceptions.

    https://docs.openstack.org/api-ref/baremetal/
    """

    # The lowest that has all of: traits (1.37), allocations (1.52), lessee (1.65).
    MICROVERSION = "1.65"

    def get_headers(self, *args: Any, **kwargs: Any) -> dict[str, str]:
        """Return the default headers and the microversion."""
        headers: dict[str, str] = super().get_headers(*args, **kwargs)
        return headers | {"X-OpenStack-Ironic-API-Version": self.MICROVERSION}

    def create_node(self, **attributes: Any) -> Body:
        """Enroll a node; ``driver`` is the one attribute that must be there."""
        return self._answer(201, *self.post("v1/nodes", json.dumps(attributes)))

    def show_node(self, uuid: str) -> Body:
        """Return a node with all its fields."""
        return self._answer(200, *self.get(f"v1/nodes/{uuid}"))

    def list_nodes(self, **filters: str) -> Body:
        """Return ``{"nodes": [...]}``: those that the asking project may see."""
        return self._answer(200, *self.get(f"v1/nodes?{urlencode(filters)}"))

    def update_node(self, uuid: str, **attributes: Any) -> Body:
        """Replace fields of a node."""
        patch = [
            {"op": "replace", "path": f"/{name}", "value": value}
            for name, value in attributes.items()
        ]
        return self._answer(200, *self.patch(f"v1/nodes/{uuid}", json.dumps(patch)))

    def delete_node(self, uuid: str) -> Body:
        """Forget a node."""
        return self._answer(204, *self.delete(f"v1/nodes/{uuid}"))

    def set_node_power_state(self, uuid: str, target: str) -> Body:
        """Ask for ``power on`` or ``power off``; the conductor does it later."""
        url = f"v1/nodes/{uuid}/states/power"
        return self._answer(202, *self.put(url, json.dumps({"target": target})))

    def set_node_provision_state(self, uuid: str, target: str) -> Body:
        """Send a verb of the state machine (``manage``, ``provide`` …); it is done later."""
        url = f"v1/nodes/{uuid}/states/provision"
        return self._answer(202, *self.put(url, json.dumps({"target": target})))

    def set_node_traits(self, uuid: str, traits: list[str]) -> Body:
        """Replace the traits of a node."""
        url = f"v1/nodes/{uuid}/traits"
        return self._answer(204, *self.put(url, json.dumps({"traits": traits})))

    def create_allocation(self, **attributes: Any) -> Body:
        """Ask for a node of a ``resource_class``; the conductor chooses it later."""
        return self._answer(201, *self.post("v1/allocations", json.dumps(attributes)))

    def show_allocation(self, uuid: str) -> Body:
        """Return an allocation: its ``state``, ``node_uuid`` and ``last_error``."""
        return self._answer(200, *self.get(f"v1/allocations/{uuid}"))

    def delete_allocation(self, uuid: str) -> Body:
        """Give up an allocation."""
        return self._answer(204, *self.delete(f"v1/allocations/{uuid}"))

    def _answer(self, expected: int, response: Any, body: bytes) -> Body:
        self.expected_success(expected, response.status)
        answer: Body = rest_client.ResponseBody(response, json.loads(body) if body else None)
        return answer
