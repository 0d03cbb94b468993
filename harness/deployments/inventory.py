# SPDX-License-Identifier: Apache-2.0
"""The resources of a cloud, each with digests of its fields."""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from bsdgate.harness import files
from bsdgate.harness.deployments.kinds import KINDS, VOLATILE, Kind
from bsdgate.harness.errors import InfrastructureError

_OK: Final = 200
HIDDEN: Final = frozenset({403, 404})
"""The statuses for a kind that the service does not have, or that the user may not list."""
OF_NO_ADMIN: Final = HIDDEN | {500}
"""The same for a user without the role admin: Ironic answers 500 for a token of a wrong scope."""
_OWNERS: Final = ("project_id", "tenant_id", "owner", "user_id", "domain_id")

Key = tuple[str, str]
"""The name of the kind and the id of a resource."""


class Api(Protocol):
    """Sends requests to a cloud, with a token of a user."""

    def call(self, service: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Send a request; return the status and the JSON document of the answer, or None.

        :raises InfrastructureError: there was no answer, or the credentials were refused.
        """


@dataclass(frozen=True)
class Resource:
    """A resource of a cloud.

    ``names`` are the ids that a request for this resource contains. ``owners`` are the ids of its
    project, user and domain. ``fields`` has a digest of each field. ``device_owner`` and
    ``device_id`` are fields of a port.
    """

    kind: str
    id: str
    name: str
    names: tuple[str, ...]
    owners: tuple[str, ...]
    fields: Mapping[str, str]
    device_owner: str = ""
    device_id: str = ""

    @property
    def key(self) -> Key:
        """The unique key of the resource."""
        return self.kind, self.id

    def __str__(self) -> str:
        return f"{self.kind} {self.name or self.id}{f' ({self.id})' if self.name else ''}"


Inventory = Mapping[Key, Resource]


def take(
    api: Api,
    services: Collection[str],
    users: Iterable[str] = (),
    hidden: Collection[int] = HIDDEN,
) -> Inventory:
    """Return all resources of these services, of the kinds that tests can alter.

    ``users`` are ids of more users, maybe deleted ones: their key pairs still exist. A list request
    with a status in ``hidden`` counts as an empty list.

    :raises InfrastructureError: a service does not answer.
    """
    kinds = [kind for kind in KINDS if kind.service in services and kind.name != "key pair"]
    found = [each for kind in kinds for each in _listed(api, kind, hidden)]
    if "compute" in services:
        known = {each.id for each in found if each.kind == "user"}
        found += _key_pairs(api, sorted(known.union(users)))
    return {each.key: each for each in found}


def _listed(api: Api, kind: Kind, hidden: Collection[int]) -> Iterator[Resource]:
    path: str | None = f"{kind.path}?{kind.query}" if kind.query else kind.path
    while path:
        status, document = api.call(kind.service, "GET", path)
        if status in hidden:
            return
        if status != _OK or not isinstance(document, dict):
            text = f"the list of {kind.path} of {kind.service} was answered with status {status}"
            raise InfrastructureError(text, "see the log of the service")
        yield from (_resource(kind, each) for each in document[kind.key])
        path = _next(document, kind)


def _next(document: Mapping[str, Any], kind: Kind) -> str | None:
    """Return the path of the next page of a list; the format differs between services."""
    links = document.get(f"{kind.key}_links") or ()
    found = [each.get("href") for each in links if each.get("rel") == "next"]
    found += [document.get("next"), dict(document.get("links") or {}).get("next")]
    query = next((urlsplit(each).query for each in found if each), None)
    return f"{kind.path}?{query}" if query else None


def _key_pairs(api: Api, users: Sequence[str]) -> Iterator[Resource]:
    """Yield the key pairs of users; Nova lists the key pairs of one user at a time."""
    (kind,) = [each for each in KINDS if each.name == "key pair"]
    for user in users:
        status, document = api.call("compute", "GET", f"{kind.path}?user_id={user}")
        for each in document["keypairs"] if status == _OK else ():
            content = {**each["keypair"], "user_id": user}
            yield _resource(kind, content, f"{user}/{content['name']}", (content["name"],))


def _resource(
    kind: Kind, content: Mapping[str, Any], identity: str = "", names: tuple[str, ...] = ()
) -> Resource:
    names = names or _names(kind, content)
    left_out = VOLATILE | kind.volatile
    owners = [str(content[each]) for each in _OWNERS if content.get(each)]
    return Resource(
        kind.name,
        identity or "/".join(names),
        str(content.get("name") or ""),
        names,
        tuple(dict.fromkeys([*owners, *(names if kind.name == "role assignment" else ())])),
        {name: _digest(each) for name, each in content.items() if name not in left_out},
        str(content.get("device_owner") or ""),
        str(content.get("device_id") or ""),
    )


def _names(kind: Kind, content: Mapping[str, Any]) -> tuple[str, ...]:
    if kind.name != "role assignment":
        return (str(content[kind.identity]),)
    scope = content["scope"]
    parts = [content["role"], *(content[each] for each in ("user", "group") if each in content)]
    parts += [scope[each] for each in ("project", "domain") if each in scope]
    return tuple(sorted(str(each["id"]) for each in parts))


def _digest(value: Any) -> str:
    return hashlib.sha256(_text(_ordered(value)).encode()).hexdigest()[:16]


def _ordered(value: Any) -> Any:
    """Return a value with sorted lists, because services return sets in any order."""
    if isinstance(value, dict):
        return {name: _ordered(each) for name, each in value.items() if name not in VOLATILE}
    if isinstance(value, list):
        return sorted((_ordered(each) for each in value), key=_text)
    return value


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def write(path: Path, inventory: Inventory) -> None:
    """Write an inventory to a file."""
    content = [asdict(each) for each in inventory.values()]
    files.write_atomically(path, json.dumps(content).encode())


def read(path: Path) -> Inventory | None:
    """Return the inventory in a file; None if there is no file."""
    if not path.exists():
        return None
    found = [_read_one(each) for each in json.loads(path.read_bytes())]
    return {each.key: each for each in found}


def _read_one(content: Mapping[str, Any]) -> Resource:
    lists = {name: tuple(content[name]) for name in ("names", "owners")}
    return Resource(**{**content, **lists})
