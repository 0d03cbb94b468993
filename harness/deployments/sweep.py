# SPDX-License-Identifier: Apache-2.0
"""Removes from a cloud what runs have made, by id."""

import time
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

from bsdgate.harness.deployments.inventory import Api, Inventory, Resource
from bsdgate.harness.deployments.kinds import KINDS, Kind

SECONDS: Final = 120.0
"""How long a cloud may take to remove what it was asked to."""
PAUSE: Final = 0.5
"""Seconds between two looks at what is left: no service says when a removal has ended."""

_BY_NAME: Final = {kind.name: kind for kind in KINDS}
_ORDER: Final = {kind.name: number for number, kind in enumerate(KINDS)}
_ROUTER_PORT: Final = "network:router_interface"

Look = Callable[[], Inventory]
"""Takes an inventory."""
Choose = Callable[[Inventory], Sequence[Resource]]
"""Returns which resources of an inventory are to be removed."""


def sweep(
    api: Api,
    look: Look,
    choose: Choose,
    *,
    seconds: float = SECONDS,
    pause: Callable[[float], None] = time.sleep,
) -> tuple[Inventory, list[Resource]]:
    """Remove what is chosen; return the last inventory, and what of it could not be removed.

    What others still stand on is refused and tried again, as long as anything goes.
    """
    deadline = time.monotonic() + seconds
    found = look()
    while chosen := removable(choose(found)):
        for each in chosen:
            remove(api, each)
        found = look()
        left = removable(choose(found))
        if {each.key for each in left} == {each.key for each in chosen}:
            if time.monotonic() > deadline:
                return found, left
            pause(PAUSE)
    return found, []


def removable(resources: Collection[Resource]) -> list[Resource]:
    """Return those that are removed by themselves, in the order in which that can be done."""
    chosen = [each for each in resources if _BY_NAME[each.kind].removed]
    return sorted(chosen, key=lambda each: _ORDER[each.kind])


def remove(api: Api, resource: Resource) -> None:
    """Ask the service to remove a resource; it may refuse."""
    kind = _BY_NAME[resource.kind]
    for method, path, body in (*_before(kind, resource), ("DELETE", _path(kind, resource), None)):
        api.call(kind.service, method, path, body)


def _path(kind: Kind, resource: Resource) -> str:
    if kind.name == "key pair":
        user, _, name = resource.id.partition("/")
        return f"{kind.below}/{name}?user_id={user}"
    return f"{kind.below}/{resource.id}"


def _before(kind: Kind, resource: Resource) -> list[tuple[str, str, Any]]:
    """Return the requests without which a service refuses to remove a resource."""
    path = _path(kind, resource)
    if kind.name == "domain":
        return [("PATCH", path, {"domain": {"enabled": False}})]
    if kind.name == "node":
        return [("PUT", f"{path}/maintenance", {"reason": "it is removed"})]
    if kind.name == "port" and resource.device_owner.startswith(_ROUTER_PORT):
        router = f"/routers/{resource.device_id}/remove_router_interface"
        return [("PUT", router, {"port_id": resource.id})]
    return []
