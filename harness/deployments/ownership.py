# SPDX-License-Identifier: Apache-2.0
"""Which resources of a cloud a run has made: those that it recorded, or that have its prefix."""

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
"""The log of the requests of a run, in its directory."""
BASELINE: Final = "baseline.json"
"""The inventory of what was there before a run, in its directory."""
STANDING: Final = "standing.json"
"""The mark of a run against a standing cloud, in its directory: the cloud and the prefix."""

_PREFIX: Final = re.compile(r"[a-z][a-z0-9-]{0,10}")
_RUN_DIGITS: Final = 4
_RUN: Final = rf"-r[0-9a-f]{{{_RUN_DIGITS}}}"


def default_prefix() -> str:
    """Return the prefix of this user, machine and state folder: no other place has the same."""
    text = f"{socket.gethostname()} {os.getuid()} {paths.state()}"
    return f"bsdg-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def check_prefix(prefix: str) -> None:
    """Check that names of resources can begin with a prefix.

    :raises UsageError: they cannot.
    """
    if not _PREFIX.fullmatch(prefix) or re.search(rf"{_RUN}(-|$)", prefix):
        raise UsageError(
            f"--prefix {prefix!r} cannot begin the names of resources",
            "use at most 11 lower-case letters, digits and '-', a letter first, and no part that"
            " bsdgate gives to a run, such as -r3f2a",
        )


def run_prefix(prefix: str, run_id: str) -> str:
    """Return what the names of one run begin with: the prefix, ``-r``, and four digits of its id.

    No prefix has such a part itself, so the names of a longer prefix are not those of a shorter
    one. Key pairs of Nova may have no other sign than ``-`` in their names.
    """
    return f"{prefix}-r{run_id[:_RUN_DIGITS]}"


@dataclass(frozen=True)
class Mark:
    """The cloud and the prefix of a run against a standing cloud."""

    auth_url: str
    prefix: str
    clean: bool = False
    """Whether nothing of the run is left in the cloud."""

    def write(self, folder: Path) -> None:
        """Keep it in a run directory."""
        content = {"auth_url": self.auth_url, "prefix": self.prefix, "clean": self.clean}
        files.write_atomically(folder / STANDING, json.dumps(content).encode())

    @classmethod
    def read(cls, folder: Path) -> "Mark | None":
        """Return the mark of a run directory; None if it has none that can be read."""
        try:
            return cls(**json.loads((folder / STANDING).read_bytes()))
        except (OSError, TypeError, ValueError):
            return None


def interrupted(runs: Path, mark: Mark) -> list[Path]:
    """Return the directories of runs of this cloud and prefix that were not cleaned up."""
    found = sorted(path.parent for path in runs.glob(f"*/{STANDING}"))
    return [each for each in found if Mark.read(each) == mark]


@dataclass(frozen=True)
class Ownership:
    """What runs have made.

    ``made`` has the last part of the path of a request, and the id in its answer. ``foreign`` was
    in the cloud before them: it is never theirs, whatever a record says.
    """

    prefix: str
    made: frozenset[tuple[str, str]]
    foreign: frozenset[Key]

    @classmethod
    def of_runs(cls, prefix: str, folders: Iterable[Path]) -> "Ownership":
        """Return what the runs in these directories have made, and others with the prefix."""
        made: set[tuple[str, str]] = set()
        foreign: set[Key] = set()
        for folder in folders:
            requests = request_log.read(folder / REQUESTS)
            made.update((_last(each.path), made_id) for each in requests for made_id in each.made)
            foreign.update(inventory.read(folder / BASELINE) or ())
        return cls(prefix, frozenset(made), frozenset(foreign))

    @property
    def ids(self) -> frozenset[str]:
        """The recorded ids that are like no other in the cloud."""
        return frozenset(each for _, each in self.made if request_log.is_id(each))

    def owned(self, found: Inventory) -> list[Resource]:
        """Return the resources that the runs have made, or that belong to what they have made."""
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
    """Whether the resource belongs to a project or user of ours, or is a role given to one."""
    return not ours.isdisjoint(resource.owners)
