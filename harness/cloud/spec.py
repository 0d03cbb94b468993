# SPDX-License-Identifier: Apache-2.0
"""The description of an embedded cloud: its name, directory, ports and passwords.

The directory contains all files of the cloud::

    spec.json      this description, written once
    accounts.yaml  accounts for tests, in Tempest's format
    status.json    the status of the supervisor and of the services
    control        the supervisor's socket
    lock           locked by the supervisor while it runs
    etc/SERVICE/   configuration files
    pristine/SERVICE/   databases and files in their initial state
    data/SERVICE/  databases and files in use
    logs/          a log for each service and for the supervisor
    tmp/           the services' TMPDIR
"""

import dataclasses
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NewType, Self

import yaml

from bsdgate.harness import files, folders
from bsdgate.harness.cloud.accounts import ACCOUNTS, tempest_entries
from bsdgate.harness.errors import UsageError

HOST = "127.0.0.1"
REGION = "RegionOne"
ADMIN = "admin"
ACCOUNTS_FILE = "accounts.yaml"
"""The file of accounts for tests, in the directory of a cloud."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


CloudName = NewType("CloudName", str)
"""A checked name of a cloud: also the name of its directory, and of its entry in clouds.yaml."""


def checked_name(text: str) -> CloudName:
    """Return a text as the name of a cloud; names such as ``..`` are refused.

    :raises UsageError: the text is not a valid name.
    """
    if not _NAME.fullmatch(text):
        raise UsageError(
            f"{text!r} cannot be the name of a cloud",
            "use at most 64 letters, digits, '.', '_' and '-', a letter or digit first",
        )
    return CloudName(text)


DEFAULT_NAME = checked_name("bsdgate")


@dataclasses.dataclass(frozen=True)
class Limits:
    """The maximum numbers of seconds for the start and for the end of a cloud."""

    start: float = 120.0
    stop: float = 10.0


DEFAULT_LIMITS = Limits()


@dataclasses.dataclass(frozen=True)
class CloudSpec:
    """A cloud. ``ports`` are by service, ``passwords`` by user: services, admin, accounts.

    ``options`` are options of oslo.config that override ours, by service, section and name.
    ``nodes`` are the nodes to enroll in Ironic, in the form of ``profiles.boards.nodes``.
    """

    name: str
    directory: Path
    ports: Mapping[str, int]
    passwords: Mapping[str, str]
    options: Mapping[str, Mapping[str, Mapping[str, object]]] = dataclasses.field(
        default_factory=dict
    )
    limits: Limits = DEFAULT_LIMITS
    nodes: Sequence[Mapping[str, Any]] = dataclasses.field(default_factory=list)

    @classmethod
    def generate(
        cls,
        name: str,
        directory: Path,
        ports: Mapping[str, int],
        options: Mapping[str, Any],
        *,
        limits: Limits = DEFAULT_LIMITS,
        nodes: Sequence[Mapping[str, Any]] = (),
    ) -> Self:
        """Return the description of a new cloud, with new passwords."""
        users = (ADMIN, *ports, *(account.user for account in ACCOUNTS))
        passwords = {user: secrets.token_urlsafe(18) for user in users}
        return cls(name, directory, dict(ports), passwords, options, limits, list(nodes))

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read the description of the cloud in ``directory``.

        :raises FileNotFoundError: there is no description.
        """
        fields = json.loads((directory / "spec.json").read_text())
        limits = Limits(**fields.pop("limits", {}))
        return cls(directory=directory, limits=limits, **fields)

    def save(self) -> None:
        """Write the description and the accounts; both are private, because of the passwords."""
        fields = {
            "name": self.name,
            "ports": self.ports,
            "passwords": self.passwords,
            "options": self.options,
            "limits": dataclasses.asdict(self.limits),
            "nodes": self.nodes,
        }
        write_private(self.directory / "spec.json", json.dumps(fields, indent=1))
        if (entries := self.accounts()) is not None:
            write_private(self.directory / ACCOUNTS_FILE, yaml.safe_dump(entries, sort_keys=False))

    def has(self, service: str) -> bool:
        """Return whether the cloud has the service."""
        return service in self.ports

    def client_entry(self) -> dict[str, Any]:
        """Return the entry for clouds.yaml, with the credentials of the admin.

        Without Keystone, Ironic checks the password, and its URL is the only endpoint.
        """
        user = {"username": ADMIN, "password": self.passwords[ADMIN]}
        if not self.has("keystone"):
            url = self.url("ironic")
            return {
                "auth_type": "http_basic",
                "auth": {"endpoint": url, **user},
                # Else openstacksdk does not request the path of the API.
                "baremetal_endpoint_override": url,
                "region_name": REGION,
            }
        domains = {"user_domain_id": "default", "project_domain_id": "default"}
        auth_url = f"{self.url('keystone')}/v3"
        auth = {"auth_url": auth_url, **user, "project_name": ADMIN, **domains}
        return {"auth": auth, "region_name": REGION}

    def accounts(self) -> list[dict[str, Any]] | None:
        """Return the accounts for tests in Tempest's format; None without Keystone."""
        return tempest_entries(self.passwords) if "keystone" in self.ports else None

    def etc(self, service: str) -> Path:
        """Return the directory of a service's configuration."""
        return self.directory / "etc" / service

    def data(self, service: str) -> Path:
        """Return the directory of a service's databases and files."""
        return self.directory / "data" / service

    def log(self, service: str) -> Path:
        """Return the log file of a service."""
        return self.directory / "logs" / f"{service}.log"

    def url(self, service: str) -> str:
        """Return the base URL of a service, without a path."""
        return f"http://{HOST}:{self.ports[service]}"

    def database_url(self, service: str, name: str = "main") -> str:
        """Return the URL of a database of a service.

        ``timeout`` is the maximum number of seconds for which sqlite3 waits for a
        lock; ``plugin`` is ours (see ``plugins.sqlite``).
        """
        return f"sqlite:///{self.database(service, name)}?timeout=60&plugin=bsdgate"

    def database(self, service: str, name: str = "main") -> Path:
        """Return the file of a database of a service."""
        return self.data(service) / f"{name}.sqlite"


def write_private(path: Path, text: str) -> None:
    """Replace a private file atomically; make its private directory if it is missing."""
    folders.make(path.parent)
    files.write_atomically(path, text.encode())


def ini(sections: Mapping[str, Mapping[str, object]]) -> str:
    """Return the text of oslo.config sections; a list becomes a line for each value."""
    lines: list[str] = []
    for section, options in sections.items():
        lines.append(f"[{section}]")
        for option, value in options.items():
            lines += [f"{option} = {_option(each)}" for each in _values(value)]
        lines.append("")
    return "\n".join(lines)


def _values(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else [value]


def _option(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
