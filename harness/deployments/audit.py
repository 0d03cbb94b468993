# SPDX-License-Identifier: Apache-2.0
"""Compares the resources of a cloud before and after a run.

Other users change resources during a run. A changed resource is only a note, unless the log of the
run's requests has a request with the id of the resource: then it is a failure.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bsdgate.harness import files
from bsdgate.harness.deployments.inventory import Inventory, Resource
from bsdgate.harness.request_log import Request
from bsdgate.results.codes import Code
from bsdgate.results.problems import Finding

AUDIT: Final = "audit.json"
"""The file, in a run directory, with the whole result of the audit."""
SHOWN: Final = 10
"""The maximum number of resources in one finding; AUDIT has all."""


@dataclass(frozen=True)
class Difference:
    """A resource that changed or disappeared during a run.

    ``fields`` are the fields that differ, empty if the resource disappeared. ``request`` is the
    first request of the run with the id of the resource.
    """

    resource: Resource
    fields: tuple[str, ...]
    request: Request | None

    def __str__(self) -> str:
        what = f"has another {', '.join(self.fields)}" if self.fields else "is gone"
        by = f", after {self.request.method} {self.request.path}" if self.request else ""
        return f"{self.resource} {what}{by}"

    @property
    def document(self) -> dict[str, Any]:
        """The difference as a JSON object."""
        request = self.request and f"{self.request.method} {self.request.path}"
        return {
            "kind": self.resource.kind,
            "id": self.resource.id,
            "name": self.resource.name,
            "fields": list(self.fields),
            "request": request,
        }


def compare(before: Inventory, after: Inventory, requests: Sequence[Request]) -> list[Difference]:
    """Return the resources that changed or disappeared."""
    changed = [
        (each, fields)
        for key, each in before.items()
        if (fields := _differing(each, after.get(key))) is not None
    ]
    effective = [each for each in requests if not each.refused]
    return [Difference(each, fields, _naming(each, effective)) for each, fields in changed]


def _differing(before: Resource, after: Resource | None) -> tuple[str, ...] | None:
    """Return the fields that differ, empty for a resource that disappeared; None: no difference."""
    if after is None:
        return ()
    names = sorted(before.fields.keys() | after.fields.keys())
    found = tuple(name for name in names if before.fields.get(name) != after.fields.get(name))
    return found or None


def _naming(resource: Resource, requests: Sequence[Request]) -> Request | None:
    return next((each for each in requests if each.names.issuperset(resource.names)), None)


def findings(differences: Sequence[Difference], left: Sequence[Resource]) -> list[Finding]:
    """Return the findings for the judge."""
    altered = [str(each) for each in differences if each.request]
    changed = [str(each) for each in differences if not each.request]
    found = [
        (Code.FOREIGN_ALTERED, "requests of the run altered resources of others", altered),
        (Code.FOREIGN_CHANGED, "other users changed their resources", changed),
        (Code.LEFT_BEHIND, "the run could not remove", list(map(str, left))),
    ]
    return [Finding(code, f"{text}: {_some(items)}") for code, text, items in found if items]


def _some(items: Sequence[str]) -> str:
    more = len(items) - SHOWN
    return "; ".join([*items[:SHOWN], *([f"and {more} more, in {AUDIT}"] if more > 0 else [])])


def write(folder: Path, differences: Sequence[Difference], left: Sequence[Resource]) -> None:
    """Write the result of the audit to a run directory."""
    content = {
        "differences": [each.document for each in differences],
        "left": [{"kind": each.kind, "id": each.id, "name": each.name} for each in left],
    }
    files.write_atomically(folder / AUDIT, json.dumps(content, indent=1).encode())
