# SPDX-License-Identifier: Apache-2.0
"""A node of a Zuul build: an ssh node, with its address in the inventory of the build.

The inventory is a file in Ansible's YAML format. A playbook writes it on the controller, because
the executor's own inventory is not there.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bsdgate.harness.errors import UsageError
from bsdgate.harness.nodes.address import FORM, Address
from bsdgate.results.checked_yaml import Document

ZUUL: Final = "zuul"
INVENTORY: Final = "BSDGATE_ZUUL_INVENTORY"
"""The environment variable with the path of the inventory."""
SSH_CONFIG: Final = "bsdgate_ssh_config"
"""The host variable with the path of an ssh configuration file, instead of the user's."""

_HINT: Final = f"set {INVENTORY} to the path of the inventory of the Zuul build, a YAML file"


@dataclass(frozen=True)
class ZuulSpec:
    """A node of a Zuul build, by its name in the nodeset."""

    node: str

    def __str__(self) -> str:
        """Return the value of ``--on``."""
        return f"{ZUUL}:{self.node}"

    def address(self) -> Address:
        """Return the address of the node in the inventory of the build.

        :raises UsageError: there is no inventory, or it has no such node or not its address.
        """
        path = _inventory()
        hosts = _hosts(path)
        if self.node not in hosts:
            known = ", ".join(map(str, hosts)) or "no host"
            raise UsageError(
                f"{path}: the inventory has no host {self.node}, only {known}",
                f"give --on {ZUUL}:NAME with the name of a node in the nodeset of the job",
            )
        given = hosts[self.node]
        variables = given if isinstance(given, Mapping) else {}
        return _address(path, self.node, variables)


def _inventory() -> Path:
    path = os.environ.get(INVENTORY)
    if not path:
        raise UsageError(f"--on {ZUUL} needs {INVENTORY}, which is not set", _HINT)
    return Path(path)


def _hosts(path: Path) -> Mapping[str, Any]:
    document = Document(path)
    if not document.readable:
        raise UsageError(str(document.problems[0]), _HINT)
    hosts = document.data
    for key in ("all", "hosts"):
        hosts = hosts.get(key) if isinstance(hosts, Mapping) else None
    if not isinstance(hosts, Mapping):
        raise UsageError(f"{path} is not an inventory: it has no hosts below `all`", _HINT)
    return hosts


def _address(path: Path, node: str, variables: Mapping[str, Any]) -> Address:
    """Return the address in the variables of a host; it is checked in the form of a URL."""
    if not variables.get("ansible_host"):
        raise UsageError(f"{path}: the host {node} has no ansible_host", _HINT)
    host = str(variables["ansible_host"])
    user, port = variables.get("ansible_user"), variables.get("ansible_port")
    url = "".join(
        [
            "ssh://",
            f"{user}@" if user else "",
            f"[{host}]" if ":" in host else host,
            f":{port}" if port else "",
        ]
    )
    config = variables.get(SSH_CONFIG)
    try:
        parsed = Address.parse(url)
    except UsageError as error:
        raise UsageError(
            f"{path}: the host {node} has the address {url}, which is not a valid {FORM}",
            "correct ansible_host, ansible_user and ansible_port",
        ) from error
    return Address(parsed.host, parsed.user, parsed.port, Path(config) if config else None)
