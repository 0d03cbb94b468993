# SPDX-License-Identifier: Apache-2.0
"""The filter of a query for earlier runs, and the earlier run that a run is compared with."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from packaging.utils import canonicalize_name

from bsdgate.results.errors import BsdgateError
from bsdgate.results.model import Result, Run
from bsdgate.results.store.rows import Record

WINDOW: Final = 200
"""The default maximum number of runs that a query reads."""

JUDGED: Final = frozenset({Result.PASS, Result.FAIL})
"""The results of runs with complete evidence."""


class StoreError(BsdgateError):
    """The history cannot be read or written."""

    exit_code = 3


@dataclass(frozen=True, slots=True)
class RunFilter:
    """The runs that a query selects; a field that is None does not restrict them.

    ``before`` selects the runs created before that time. ``changed`` selects runs with (True) or
    without (False) a change under test.
    """

    suite: str | None = None
    profile: str | None = None
    release: str | None = None
    selection: str | None = None
    changed: bool | None = None
    before: datetime | None = None
    results: frozenset[Result] = frozenset(Result)


ANY: Final = RunFilter()
"""All runs."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """The last good run, to compare a later run with; ``ran`` are the ids of its executed tests.

    ``same_versions``: both runs have the same versions, so a test that is missing from the later
    run was lost. Otherwise the test may have been removed or renamed.
    """

    record: Record
    ran: frozenset[str]
    same_versions: bool


def compared_versions(run: Run, under_test: Run) -> dict[str, str]:
    """Return the versions of ``run``, except those of the projects in ``under_test.sources``."""
    projects = {canonicalize_name(source.project) for source in under_test.sources}
    ignored = projects | {f"openstack-{project}" for project in projects}
    return {name: version for name, version in run.versions.items() if name not in ignored}
