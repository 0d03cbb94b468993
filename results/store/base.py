# SPDX-License-Identifier: Apache-2.0
"""Which runs a query is about, and what a run is compared with."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from packaging.utils import canonicalize_name

from bsdgate.results.errors import BsdgateError
from bsdgate.results.model import Result, Run
from bsdgate.results.store.rows import Record

WINDOW: Final = 200
"""The default number of runs that are read."""

JUDGED: Final = frozenset({Result.PASS, Result.FAIL})
"""The results of runs with complete evidence."""


class StoreError(BsdgateError):
    """A history that cannot be read or written."""

    exit_code = 3


@dataclass(frozen=True, slots=True)
class Scope:
    """The runs that a query is about; a field that is None does not matter.

    ``before`` excludes runs created at that time or later. ``changed`` selects runs with (True) or
    without (False) a change under test.
    """

    suite: str | None = None
    profile: str | None = None
    release: str | None = None
    selection: str | None = None
    changed: bool | None = None
    before: datetime | None = None
    results: frozenset[Result] = frozenset(Result)


ANY: Final = Scope()
"""All runs."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """The last good run to compare a run with, and the ids of its tests that were executed.

    With ``same_versions`` a test that is not in the later run was lost. Otherwise it may have been
    removed or renamed.
    """

    record: Record
    ran: frozenset[str]
    same_versions: bool


def compared_versions(run: Run, under_test: Run) -> dict[str, str]:
    """Return the versions in ``run``, without those of the projects under test."""
    projects = {canonicalize_name(source.project) for source in under_test.sources}
    ignored = projects | {f"openstack-{project}" for project in projects}
    return {name: version for name, version in run.versions.items() if name not in ignored}
