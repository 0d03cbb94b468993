# SPDX-License-Identifier: Apache-2.0
"""Compares what a cloud had before a run with what it has afterwards.

People use the cloud during a run. What they change is a note; it is a failure if a request of the
run named the resource, by the log of the requests.
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
"""All that the audit found, in the directory of a run."""
SHOWN: Final = 10
"""So many resources are named in one finding; AUDIT has all."""


@dataclass(frozen=True)
class Difference:
    """A resource that is not what it was.

    ``fields`` are those that differ, none if the resource is gone. ``request`` is the first request
    of the run that named it.
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
        """The JSON form."""
        request = self.request and f"{self.request.method} {self.request.path}"
        return {
            "kind": self.resource.kind,
            "id": self.resource.id,
            "name": self.resource.name,
            "fields": list(self.fields),
            "request": request,
        }


def compare(before: Inventory, after: Inventory, requests: Sequence[Request]) -> list[Difference]:
    """Return what is not what it was."""
    changed = [
        (each, fields)
        for key, each in before.items()
        if (fields := _differing(each, after.get(key))) is not None
    ]
    effective = [each for each in requests if not each.refused]
    return [Difference(each, fields, _naming(each, effective)) for each, fields in changed]


def _differing(before: Resource, after: Resource | None) -> tuple[str, ...] | None:
    """Return the fields that differ; None if nothing does, no field if the resource is gone."""
    if after is None:
        return ()
    names = sorted(before.fields.keys() | after.fields.keys())
    found = tuple(name for name in names if before.fields.get(name) != after.fields.get(name))
    return found or None


def _naming(resource: Resource, requests: Sequence[Request]) -> Request | None:
    return next((each for each in requests if each.names.issuperset(resource.names)), None)


def findings(differences: Sequence[Difference], left: Sequence[Resource]) -> list[Finding]:
    """Return what the judge has to know."""
    altered = [str(each) for each in differences if each.request]
    changed = [str(each) for each in differences if not each.request]
    found = [
        (Code.FOREIGN_ALTERED, "requests of the run altered what it has not made", altered),
        (Code.FOREIGN_CHANGED, "others changed what the run has not made", changed),
        (Code.LEFT_BEHIND, "the run could not remove from the cloud", list(map(str, left))),
    ]
    return [Finding(code, f"{text}: {_some(items)}") for code, text, items in found if items]


def _some(items: Sequence[str]) -> str:
    more = len(items) - SHOWN
    return "; ".join([*items[:SHOWN], *([f"and {more} more, in {AUDIT}"] if more > 0 else [])])


def write(folder: Path, differences: Sequence[Difference], left: Sequence[Resource]) -> None:
    """Write all that was found into a run directory."""
    content = {
        "differences": [each.document for each in differences],
        "left": [{"kind": each.kind, "id": each.id, "name": each.name} for each in left],
    }
    files.write_atomically(folder / AUDIT, json.dumps(content, indent=1).encode())
