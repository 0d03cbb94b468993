# SPDX-License-Identifier: Apache-2.0
"""What one embedded cloud is: its name, directory, ports and passwords.

The directory holds everything of the cloud::

    spec.json      this description, written once
    accounts.yaml  accounts for tests, as Tempest reads them
    status.json    what the supervisor says of itself and of the services
    control        the supervisor's socket
    lock           held by the supervisor while it lives
    etc/SERVICE/   configuration files
    pristine/SERVICE/   databases and files as they are after ``up``
    data/SERVICE/  databases and files in use
    logs/          one log per service, and the supervisor's
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
"""In a cloud's directory: its accounts for tests."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


CloudName = NewType("CloudName", str)
"""The name of a cloud, checked: also that of a folder, and of an entry in clouds.yaml."""


def checked_name(text: str) -> CloudName:
    """Return the text as the name of a cloud: none that leads elsewhere, such as ``..``.

    :raises UsageError: the text is no such name.
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
    """How many seconds a cloud may take until it answers, and until it has ended."""

    start: float = 120.0
    stop: float = 10.0


DEFAULT_LIMITS = Limits()


@dataclasses.dataclass(frozen=True)
class CloudSpec:
    """One cloud. ``ports`` are by service, ``passwords`` by user: services, admin, accounts.

    ``options`` of oslo.config, by service, section and name, go over those that we set. ``nodes``
    are enrolled in Ironic: what openstacksdk creates each with.
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
        """Describe a new cloud with passwords of its own."""
        users = (ADMIN, *ports, *(account.user for account in ACCOUNTS))
        passwords = {user: secrets.token_urlsafe(18) for user in users}
        return cls(name, directory, dict(ports), passwords, options, limits, list(nodes))

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read the description of the cloud in ``directory`` (FileNotFoundError: none there)."""
        fields = json.loads((directory / "spec.json").read_text())
        limits = Limits(**fields.pop("limits", {}))
        return cls(directory=directory, limits=limits, **fields)

    def save(self) -> None:
        """Write the description and the accounts, readable by their user alone: passwords."""
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
        """Whether the service is one of the cloud's."""
        return service in self.ports

    def client_entry(self) -> dict[str, Any]:
        """Return the entry of clouds.yaml by which the admin uses the cloud.

        Without Keystone, Ironic itself checks the password, and its URL is the only endpoint.
        """
        user = {"username": ADMIN, "password": self.passwords[ADMIN]}
        if not self.has("keystone"):
            url = self.url("ironic")
            return {
                "auth_type": "http_basic",
                "auth": {"endpoint": url, **user},
                # Without it openstacksdk does not ask Ironic for the path of its API.
                "baremetal_endpoint_override": url,
                "region_name": REGION,
            }
        domains = {"user_domain_id": "default", "project_domain_id": "default"}
        auth_url = f"{self.url('keystone')}/v3"
        auth = {"auth_url": auth_url, **user, "project_name": ADMIN, **domains}
        return {"auth": auth, "region_name": REGION}

    def accounts(self) -> list[dict[str, Any]] | None:
        """Return the accounts for tests as Tempest reads them; None without Keystone."""
        return tempest_entries(self.passwords) if "keystone" in self.ports else None

    def etc(self, service: str) -> Path:
        """Return the folder of the service's configuration."""
        return self.directory / "etc" / service

    def data(self, service: str) -> Path:
        """Return the folder of the service's databases and files."""
        return self.directory / "data" / service

    def log(self, service: str) -> Path:
        """Return the service's log file."""
        return self.directory / "logs" / f"{service}.log"

    def url(self, service: str) -> str:
        """Return the service's base URL, without a path."""
        return f"http://{HOST}:{self.ports[service]}"

    def database_url(self, service: str, name: str = "main") -> str:
        """Return the URL of one of the service's databases.

        ``timeout`` is how many seconds sqlite3 waits for a lock; ``plugin`` is
        ours (see ``plugins.sqlite``).
        """
        return f"sqlite:///{self.database(service, name)}?timeout=60&plugin=bsdgate"

    def database(self, service: str, name: str = "main") -> Path:
        """Return the file of one of the service's databases."""
        return self.data(service) / f"{name}.sqlite"


def write_private(path: Path, text: str) -> None:
    """Replace ``path`` atomically, in a folder made for it, both the user's own alone."""
    folders.make(path.parent)
    files.write_atomically(path, text.encode())


def ini(sections: Mapping[str, Mapping[str, object]]) -> str:
    """Render oslo.config sections: booleans as it wants them, a sequence as one line a value."""
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
