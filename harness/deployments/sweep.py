# SPDX-License-Identifier: Apache-2.0
"""Removes the resources of runs from a cloud, by id."""

import time
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

from bsdgate.harness.deployments.inventory import Api, Inventory, Resource
from bsdgate.harness.deployments.kinds import KINDS, Kind

SECONDS: Final = 120.0
"""The maximum number of seconds in which a cloud must remove resources."""
PAUSE: Final = 0.5
"""The number of seconds between two inventories: no service reports the end of a removal."""

_BY_NAME: Final = {kind.name: kind for kind in KINDS}
_ORDER: Final = {kind.name: number for number, kind in enumerate(KINDS)}
_ROUTER_PORT: Final = "network:router_interface"

TakeInventory = Callable[[], Inventory]
"""Takes a new inventory."""
Choose = Callable[[Inventory], Sequence[Resource]]
"""Returns the resources of an inventory that must be removed."""


def sweep(
    api: Api,
    take: TakeInventory,
    choose: Choose,
    *,
    seconds: float = SECONDS,
    pause: Callable[[float], None] = time.sleep,
) -> tuple[Inventory, list[Resource]]:
    """Remove the chosen resources; return the last inventory, and the resources that remain.

    A service refuses to remove a resource in use, so this is repeated: for ``seconds``, and then
    as long as resources disappear.
    """
    deadline = time.monotonic() + seconds
    found = take()
    while chosen := removable(choose(found)):
        for each in chosen:
            remove(api, each)
        found = take()
        left = removable(choose(found))
        if {each.key for each in left} == {each.key for each in chosen}:
            if time.monotonic() > deadline:
                return found, left
            pause(PAUSE)
    return found, []


def removable(resources: Collection[Resource]) -> list[Resource]:
    """Return the resources that need a request, in the order of the requests."""
    chosen = [each for each in resources if _BY_NAME[each.kind].removed]
    return sorted(chosen, key=lambda each: _ORDER[each.kind])


def remove(api: Api, resource: Resource) -> None:
    """Send the requests that remove a resource; the service may refuse them."""
    kind = _BY_NAME[resource.kind]
    for method, path, body in (*_before(kind, resource), ("DELETE", _path(kind, resource), None)):
        api.call(kind.service, method, path, body)


def _path(kind: Kind, resource: Resource) -> str:
    if kind.name == "key pair":
        user, _, name = resource.id.partition("/")
        return f"{kind.below}/{name}?user_id={user}"
    return f"{kind.below}/{resource.id}"


def _before(kind: Kind, resource: Resource) -> list[tuple[str, str, Any]]:
    """Return the requests that must precede the removal of a resource."""
    path = _path(kind, resource)
    if kind.name == "domain":
        return [("PATCH", path, {"domain": {"enabled": False}})]
    if kind.name == "node":
        return [("PUT", f"{path}/maintenance", {"reason": "it is removed"})]
    if kind.name == "port" and resource.device_owner.startswith(_ROUTER_PORT):
        router = f"/routers/{resource.device_id}/remove_router_interface"
        return [("PUT", router, {"port_id": resource.id})]
    return []
