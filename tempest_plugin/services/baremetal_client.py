# SPDX-License-Identifier: Apache-2.0
"""A client of the Bare Metal API: the requests for nodes and allocations that the tests need."""

import json
from typing import Any
from urllib.parse import urlencode

from tempest.lib.common import rest_client

Body = dict[str, Any]


class BaremetalClient(rest_client.RestClient):
    """Sends requests to Ironic at one microversion; methods raise tempest.lib's exceptions.

    https://docs.openstack.org/api-ref/baremetal/
    """

    # The lowest microversion with traits (1.37), allocations (1.52) and lessee (1.65).
    MICROVERSION = "1.65"

    def get_headers(self, *args: Any, **kwargs: Any) -> dict[str, str]:
        """Return the default headers and the microversion."""
        headers: dict[str, str] = super().get_headers(*args, **kwargs)
        return headers | {"X-OpenStack-Ironic-API-Version": self.MICROVERSION}

    def create_node(self, **attributes: Any) -> Body:
        """Enroll a node; only the attribute ``driver`` is required."""
        return self._checked(201, *self.post("v1/nodes", json.dumps(attributes)))

    def show_node(self, uuid: str) -> Body:
        """Return a node with all its fields."""
        return self._checked(200, *self.get(f"v1/nodes/{uuid}"))

    def list_nodes(self, **filters: str) -> Body:
        """Return ``{"nodes": [...]}``: the nodes that the client's project may see."""
        return self._checked(200, *self.get(f"v1/nodes?{urlencode(filters)}"))

    def update_node(self, uuid: str, **attributes: Any) -> Body:
        """Replace fields of a node."""
        patch = [
            {"op": "replace", "path": f"/{name}", "value": value}
            for name, value in attributes.items()
        ]
        return self._checked(200, *self.patch(f"v1/nodes/{uuid}", json.dumps(patch)))

    def delete_node(self, uuid: str) -> Body:
        """Delete a node."""
        return self._checked(204, *self.delete(f"v1/nodes/{uuid}"))

    def set_node_power_state(self, uuid: str, target: str) -> Body:
        """Request ``power on`` or ``power off``, which the conductor carries out later."""
        url = f"v1/nodes/{uuid}/states/power"
        return self._checked(202, *self.put(url, json.dumps({"target": target})))

    def set_node_provision_state(self, uuid: str, target: str) -> Body:
        """Request a provision step (``manage``, ``provide`` …), which is carried out later."""
        url = f"v1/nodes/{uuid}/states/provision"
        return self._checked(202, *self.put(url, json.dumps({"target": target})))

    def set_node_traits(self, uuid: str, traits: list[str]) -> Body:
        """Replace the traits of a node."""
        url = f"v1/nodes/{uuid}/traits"
        return self._checked(204, *self.put(url, json.dumps({"traits": traits})))

    def create_allocation(self, **attributes: Any) -> Body:
        """Request a node of a ``resource_class``; the conductor chooses the node later."""
        return self._checked(201, *self.post("v1/allocations", json.dumps(attributes)))

    def show_allocation(self, uuid: str) -> Body:
        """Return an allocation: its ``state``, ``node_uuid`` and ``last_error``."""
        return self._checked(200, *self.get(f"v1/allocations/{uuid}"))

    def delete_allocation(self, uuid: str) -> Body:
        """Delete an allocation."""
        return self._checked(204, *self.delete(f"v1/allocations/{uuid}"))

    def _checked(self, expected: int, response: Any, body: bytes) -> Body:
        self.expected_success(expected, response.status)
        checked: Body = rest_client.ResponseBody(response, json.loads(body) if body else None)
        return checked
