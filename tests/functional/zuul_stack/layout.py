# SPDX-License-Identifier: Apache-2.0
"""The directories and ports of a stack, and the accounts of its broker."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

PUBLISHER = ("zuul", "canary-of-the-publisher")
"""The account of the broker that may publish below ``zuul/``."""
LISTENER = ("listener", "canary-of-the-listener")
"""The account of the broker that may read what is published there."""
STRANGER = ("stranger", "canary-of-the-stranger")
"""An account of the broker without any right."""
REVIEWER = ("zuul", "canary-of-zuul")
"""The account of Gerrit with which Zuul reads events and changes."""
HOSTNAME = "review.example.org"
"""The canonical name of Gerrit in Zuul."""
TENANT = "example"
FREEBSD_TENANT = "freebsd"
"""The example tenant of the documentation."""
NODES_BRANCH = "stack"
"""The branch of ``freebsd/ci-config`` with the nodes of the stack."""


KEYSTONE_ONLY = {"bsdgate_profile": "keystone"}
"""Site variables for builds that start one service."""
_PATHS = ("folder", "environment", "gerrit_home", "keystone")


@dataclass(frozen=True)
class Ports:
    """The ports of the servers, which are the same in the namespace and outside of it."""

    gerrit: int
    ssh: int
    zookeeper: int
    mqtt: int
    web: int
    logs: int


@dataclass(frozen=True)
class Layout:
    """The directory of a stack: what is kept for the next one, and what each makes anew."""

    folder: Path
    ports: Ports
    environment: Path
    """The Python environment with Zuul and its Ansible."""
    gerrit_home: Path
    keystone: Path
    """A checkout of Keystone: the content of its project."""
    variables: Mapping[str, Any]
    """Site variables, which replace variables of the jobs."""

    @property
    def state(self) -> Path:
        """What is kept: the data of all servers, and their keys."""
        return self.folder / "state"

    @property
    def site(self) -> Path:
        return self.state / "gerrit"

    @property
    def database(self) -> Path:
        return self.state / "postgresql"

    @property
    def certificate(self) -> Path:
        """The certificate of ZooKeeper and its clients, which is its own authority."""
        return self.state / "tls" / "cert.pem"

    @property
    def tls_key(self) -> Path:
        return self.state / "tls" / "key.pem"

    @property
    def ssh_key(self) -> Path:
        return self.state / "ssh" / "id_rsa"

    @property
    def settings(self) -> Path:
        """The configuration files, which are written at each start."""
        return self.folder / "settings"

    @property
    def sockets(self) -> Path:
        return self.folder / "sockets"

    @property
    def logs(self) -> Path:
        """The logs of the servers."""
        return self.folder / "logs"

    @property
    def published(self) -> Path:
        """The logs of builds, which the server of logs serves."""
        return self.folder / "published"

    @property
    def gerrit_url(self) -> str:
        return f"http://127.0.0.1:{self.ports.gerrit}"

    @property
    def web_url(self) -> str:
        return f"http://127.0.0.1:{self.ports.web}"

    @property
    def logs_url(self) -> str:
        return f"http://127.0.0.1:{self.ports.logs}"

    def program(self, name: str) -> Path:
        """Return the path of a program of Zuul."""
        return self.environment / "bin" / name

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> Self:
        given = json.loads(text)
        paths = {name: Path(given[name]) for name in _PATHS}
        return cls(**paths, ports=Ports(**given["ports"]), variables=given["variables"])
