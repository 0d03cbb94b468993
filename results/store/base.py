# SPDX-License-Identifier: Apache-2.0
"""The interface of a store of earlier runs, in a database or in memory."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import TracebackType
from typing import Final, Self

from packaging.utils import canonicalize_name

from bsdgate.results.errors import BsdgateError
from bsdgate.results.model import Result, Run, Verdict
from bsdgate.results.store.rows import PastRun, Record
from bsdgate.results.store.window import Window

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

    @property
    def wanted(self) -> Mapping[str, str | bool]:
        """The values that the columns of a run must have."""
        columns = ("suite", "profile", "release", "selection", "changed")
        found = {name: getattr(self, name) for name in columns}
        return {name: value for name, value in found.items() if value is not None}

    def includes(self, record: Record) -> bool:
        """Whether the run is in this scope."""
        run = record.run
        if self.before is not None and run.created >= self.before:
            return False
        mine = {name: getattr(run, name) for name in self.wanted}
        return mine == self.wanted and record.result in self.results


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


class Store(ABC):
    """Earlier runs, each once. Every method reads a consistent state.

    All methods may raise StoreError.
    """

    @abstractmethod
    def import_run(self, verdict: Verdict) -> bool:
        """Store a run, in full or not at all; return whether the store changed.

        A verdict that was made later (``Verdict.judged``) on a known run, which may have been
        resumed or judged again, replaces the stored one; any other verdict does not. Raises
        EvidenceError for a verdict without a run id.
        """

    @abstractmethod
    def runs(self, scope: Scope = ANY, limit: int = WINDOW) -> tuple[Record, ...]:
        """Return the records of runs, without their tests, newest first."""

    @abstractmethod
    def window(self, scope: Scope = ANY, limit: int = WINDOW) -> Window:
        """Return the newest runs with their tests."""

    @abstractmethod
    def find(self, name: str) -> PastRun | None:
        """Return the run with this id, or the newest of this name, or None.

        The beginning of an id or a name is enough if only one run begins with it.
        """

    @abstractmethod
    def prune(self, before: datetime) -> int:
        """Delete the runs created before a time; return their number."""

    @abstractmethod
    def close(self) -> None:
        """Close the connections, if there are any."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def scopes(self, scope: Scope = ANY, limit: int = WINDOW) -> tuple[Scope, ...]:
        """Return each suite and profile of the newest runs as a scope of its own, by name.

        Other differences between runs do not separate their series.
        """
        found = {(one.run.profile, one.run.suite) for one in self.runs(scope, limit)}
        return tuple(
            replace(scope, profile=profile, suite=suite) for profile, suite in sorted(found)
        )

    def baseline(self, run: Run) -> Baseline | None:
        """Return the last good run that ``run`` can be compared with, or None.

        It is of the same suite, profile, release and selection, was created earlier, and had no
        change under test. One with the same versions is preferred, however much older it is;
        projects under test in ``run`` may have any version.
        """
        scope = Scope(
            suite=run.suite,
            profile=run.profile,
            release=run.release,
            selection=run.selection,
            changed=False,
            before=run.created,
            results=frozenset({Result.PASS}),
        )
        earlier = [record for record in self.runs(scope) if record.run.run_id != run.run_id]
        mine = _versions(run, run)
        same = [record for record in earlier if _versions(record.run, run) == mine]
        for record in (same or earlier)[:1]:
            if found := self.find(record.run.run_id):
                return Baseline(record, found.ran, same_versions=bool(same))
        return None


def _versions(run: Run, under_test: Run) -> dict[str, str]:
    """Return the versions in ``run``, without those of the projects under test."""
    projects = {canonicalize_name(source.project) for source in under_test.sources}
    ignored = projects | {f"openstack-{project}" for project in projects}
    return {name: version for name, version in run.versions.items() if name not in ignored}
