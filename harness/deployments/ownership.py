# SPDX-License-Identifier: Apache-2.0
"""Finds the resources that a run has made: with an id in its log, or with its prefix."""

import hashlib
import json
import os
import re
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bsdgate.harness import files, paths, request_log
from bsdgate.harness.deployments import inventory
from bsdgate.harness.deployments.inventory import Inventory, Key, Resource
from bsdgate.harness.deployments.kinds import BELOW
from bsdgate.harness.errors import UsageError

REQUESTS: Final = "requests.jsonl"
"""The log of requests, in a run directory."""
BASELINE: Final = "baseline.json"
"""The inventory from before the run, in a run directory."""
STANDING: Final = "standing.json"
"""The file, in a run directory, that records the standing cloud and the prefix."""

_PREFIX: Final = re.compile(r"[a-z][a-z0-9-]{0,10}")
_RUN_DIGITS: Final = 4
_RUN: Final = rf"-r[0-9a-f]{{{_RUN_DIGITS}}}"


def default_prefix() -> str:
    """Return a prefix that is unique for this user, machine and state directory."""
    text = f"{socket.gethostname()} {os.getuid()} {paths.state()}"
    return f"bsdg-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def check_prefix(prefix: str) -> None:
    """Check a prefix for names of resources.

    :raises UsageError: the prefix is invalid.
    """
    if not _PREFIX.fullmatch(prefix) or re.search(rf"{_RUN}(-|$)", prefix):
        raise UsageError(
            f"--prefix {prefix!r} is invalid",
            "use at most 11 lower-case letters, digits and '-', a letter first, and no part like"
            " -r3f2a, which bsdgate adds for each run",
        )


def run_prefix(prefix: str, run_id: str) -> str:
    """Return the prefix for one run: ``prefix``, ``-r``, and four digits of the run's id.

    ``check_prefix`` refuses a prefix with such a part, so a name with a longer prefix never matches
    a shorter one. Of all punctuation, Nova allows only ``-`` in names of key pairs.
    """
    return f"{prefix}-r{run_id[:_RUN_DIGITS]}"


@dataclass(frozen=True)
class Mark:
    """The content of ``standing.json``: the standing cloud, and the prefix of a run."""

    auth_url: str
    prefix: str
    clean: bool = False
    """Whether all resources of the run are removed."""

    def write(self, folder: Path) -> None:
        """Write ``standing.json`` to a run directory."""
        content = {"auth_url": self.auth_url, "prefix": self.prefix, "clean": self.clean}
        files.write_atomically(folder / STANDING, json.dumps(content).encode())

    @classmethod
    def read(cls, folder: Path) -> "Mark | None":
        """Return the content of ``standing.json`` in a run directory; None if it cannot be read."""
        try:
            return cls(**json.loads((folder / STANDING).read_bytes()))
        except (OSError, TypeError, ValueError):
            return None


def interrupted(runs: Path, mark: Mark) -> list[Path]:
    """Return the directories of runs with this cloud and prefix that were not cleaned up."""
    found = sorted(path.parent for path in runs.glob(f"*/{STANDING}"))
    return [each for each in found if Mark.read(each) == mark]


@dataclass(frozen=True)
class Ownership:
    """The resources that runs have made.

    ``made`` has pairs of the last part of a request's path and the id in the answer. ``foreign``
    are resources from before the runs: never owned, even if they are recorded.
    """

    prefix: str
    made: frozenset[tuple[str, str]]
    foreign: frozenset[Key]

    @classmethod
    def of_runs(cls, prefix: str, folders: Iterable[Path]) -> "Ownership":
        """Read the records of the runs in these directories."""
        made: set[tuple[str, str]] = set()
        foreign: set[Key] = set()
        for folder in folders:
            requests = request_log.read(folder / REQUESTS)
            made.update((_last(each.path), made_id) for each in requests for made_id in each.made)
            foreign.update(inventory.read(folder / BASELINE) or ())
        return cls(prefix, frozenset(made), frozenset(foreign))

    @property
    def ids(self) -> frozenset[str]:
        """The recorded ids that are unique in the cloud."""
        return frozenset(each for _, each in self.made if request_log.is_id(each))

    @property
    def users(self) -> frozenset[str]:
        """The ids of the recorded users."""
        return frozenset(made_id for collection, made_id in self.made if collection == "users")

    def owned(self, found: Inventory) -> list[Resource]:
        """Return the resources that the runs have made, and all that belong to these projects."""
        ours = {each.id for each in found.values() if self._is_made(each)} | self.ids
        return [each for each in self._candidates(found) if self._is_made(each) or _in(each, ours)]

    def _candidates(self, found: Inventory) -> Iterator[Resource]:
        return (each for key, each in found.items() if key not in self.foreign)

    def _is_made(self, resource: Resource) -> bool:
        if resource.key in self.foreign:
            return False
        if re.match(rf"{re.escape(self.prefix)}{_RUN}(-|$)", resource.name):
            return True
        return resource.id in self.ids or (_last(BELOW[resource.kind]), resource.id) in self.made


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _in(resource: Resource, ours: set[str]) -> bool:
    """Return whether a resource belongs to one of our projects or users, or assigns it a role."""
    return not ours.isdisjoint(resource.owners)
