# SPDX-License-Identifier: Apache-2.0
"""A cloud in memory, with the interface of a connection to a standing cloud."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from bsdgate.harness.deployments.connection import CloudEntry, Identity
from bsdgate.harness.deployments.kinds import KINDS, Kind
from bsdgate.harness.errors import InfrastructureError

ENTRY = CloudEntry("theirs", {"auth": {"auth_url": "http://127.0.0.1:1/v3", "username": "admin"}})
_QUOTAS = {"compute": "quota_class_set", "network": "quota"}
DRIVERS = {"drivers": [{"name": "fake-hardware"}]}


class FakeCloud:
    """Stores resources by service and path, and lists, makes and removes them.

    ``refused`` are ids that cannot be removed. ``statuses`` replace the statuses of answers, by
    service and path. ``failing`` is raised by all requests.
    """

    def __init__(self) -> None:
        self.resources: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self.roles = frozenset({"admin", "member"})
        self.services = {kind.service for kind in KINDS} | {"placement"}
        self.quotas: dict[str, dict[str, int]] = {"compute": {}, "network": {}}
        self.drivers: Mapping[str, Any] = DRIVERS
        self.refused: set[str] = set()
        self.statuses: dict[tuple[str, str], int] = {}
        self.failing: InfrastructureError | None = None
        self.asked: list[tuple[str, str, str]] = []
        self.closed = False
        self._count = 0

    def add(self, kind: str, **content: Any) -> str:
        """Add a resource of a kind; return its id."""
        (found,) = [each for each in KINDS if each.name == kind]
        return self._add(found, content)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return the resources of a kind."""
        (found,) = [each for each in KINDS if each.name == kind]
        return self.resources.setdefault((found.service, found.below), [])

    def identify(self) -> Identity:
        """Return the roles and domains of the user."""
        self._fail()
        return Identity(self.roles)

    def has(self, service: str) -> bool:
        """Return whether there is such a service."""
        return service in self.services

    def call(self, service: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Answer a request."""
        self._fail()
        self.asked.append((method, service, path))
        parts = urlsplit(path)
        if (service, parts.path) in self.statuses:
            return self.statuses[service, parts.path], None
        if method == "GET":
            return 200, self._list(service, parts.path, parts.query)
        if method == "POST":
            return 201, self._make(service, parts.path, body)
        if method == "DELETE":
            return self._remove(service, parts.path), None
        return 204, None

    def upload(self, image: str, content: bytes) -> None:
        """Store the content of an image."""
        self.asked.append(("PUT", "image", f"/images/{image}/file"))
        assert content

    def close(self) -> None:
        """Record the close."""
        self.closed = True

    def _add(self, kind: Kind, content: Mapping[str, Any]) -> str:
        self._count += 1
        identity = str(content.get(kind.identity) or f"{self._count:032x}")
        made = {**content, kind.identity: identity}
        self.resources.setdefault((kind.service, kind.below), []).append(made)
        return identity

    def _list(self, service: str, path: str, query: str) -> Any:
        if path.endswith("/default"):
            return {_QUOTAS[service]: self.quotas[service]}
        for kind in KINDS:
            if (kind.service, kind.path) == (service, path):
                return {kind.key: self._shown(kind, query)}
        return self.drivers if path == "/drivers" else {}

    def _shown(self, kind: Kind, query: str) -> list[dict[str, Any]]:
        found = self.resources.get((kind.service, kind.below), [])
        if kind.name != "key pair":
            return [dict(each) for each in found]
        (user,) = parse_qs(query)["user_id"]
        return [{"keypair": each} for each in found if each["user_id"] == user]

    def _make(self, service: str, path: str, body: Mapping[str, Any]) -> Any:
        (kind,) = [each for each in KINDS if (each.service, each.below) == (service, path)]
        content = body.get(kind.name, body)
        identity = self._add(kind, content)
        made = {**content, kind.identity: identity}
        return {kind.name: made} if kind.name in body else made

    def _remove(self, service: str, path: str) -> int:
        below, _, identity = path.rpartition("/")
        if identity in self.refused:
            return 409
        for (where, kept), found in self.resources.items():
            if (where, kept) == (service, below):
                found[:] = [each for each in found if identity not in _identities(each)]
        return 204

    def _fail(self) -> None:
        if self.failing is not None:
            raise self.failing


def _identities(content: Mapping[str, Any]) -> set[str]:
    return {str(content[each]) for each in ("id", "uuid", "name") if each in content}
