# SPDX-License-Identifier: Apache-2.0
"""The input and the output of the program: a build to run, and its end. Both are JSON files."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

REFUSED: Final = 2
"""The exit status if the job cannot be run; ``detail`` of the end is the reason."""


@dataclass(frozen=True)
class Node:
    """A node of the job over ssh, with its host keys as in known_hosts: type and key."""

    host: str
    port: int
    user: str
    host_keys: Sequence[str]


@dataclass(frozen=True)
class Project:
    """A project of the build: its name in the tenant, and a directory that becomes its checkout."""

    name: str
    folder: str
    commit: str
    message: str


@dataclass(frozen=True)
class Order:
    """A build to run. All paths are absolute; ``folder`` is an empty directory with a short path.

    Without projects, the build is one of bsdgate itself.
    """

    job: str
    build: str
    pipeline: str
    branch: str
    checkout: str
    folder: str
    projects: Sequence[Project] = ()
    change: tuple[str, str] | None = None
    nodes: Mapping[str, Node] = field(default_factory=dict)
    site: Mapping[str, Any] = field(default_factory=dict)
    """The site variables of the executor."""
    dry_run: bool = False
    """Only print the job."""

    def write(self, path: Path) -> None:
        """Write the order to a file."""
        path.write_text(json.dumps(dataclasses.asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read an order from a file."""
        given = json.loads(path.read_text(encoding="utf-8"))
        given["projects"] = [Project(**each) for each in given["projects"]]
        given["nodes"] = {name: Node(**each) for name, each in given["nodes"].items()}
        given["change"] = given["change"] and tuple(given["change"])
        return cls(**given)


@dataclass(frozen=True)
class End:
    """The end of a build. ``result`` is Zuul's; RETRY means that Zuul would run the job again."""

    result: str
    detail: str = ""
    warnings: Sequence[str] = ()
    data: Mapping[str, Any] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write the end to a file."""
        path.write_text(json.dumps(dataclasses.asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read an end from a file."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))
