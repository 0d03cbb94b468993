# SPDX-License-Identifier: Apache-2.0
"""What a store of earlier runs answers, wherever it keeps them."""

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
"""Runs that are looked at, unless somebody asks for another number."""

JUDGED: Final = frozenset({Result.PASS, Result.FAIL})
"""Results of runs whose evidence was whole."""


class StoreError(BsdgateError):
    """A history that cannot be read or written."""

    exit_code = 3


@dataclass(frozen=True, slots=True)
class Scope:
    """Which runs are asked about; what is None does not matter.

    ``before`` leaves out runs that were created then or later, ``changed`` those that had, or had
    not, a change under test.
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
        """What a run's columns have to be equal to."""
        columns = ("suite", "profile", "release", "selection", "changed")
        found = {name: getattr(self, name) for name in columns}
        return {name: value for name, value in found.items() if value is not None}

    def includes(self, record: Record) -> bool:
        """Whether it is one of the runs that are asked about."""
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

    With ``same_versions`` a test that is not among those of the later run was lost. Otherwise it
    may be gone for a reason.
    """

    record: Record
    ran: frozenset[str]
    same_versions: bool


class Store(ABC):
    """Earlier runs, each once. Every method that reads tells of one moment.

    All may raise StoreError.
    """

    @abstractmethod
    def import_run(self, verdict: Verdict) -> bool:
        """Keep a run, all of it or nothing; return whether that changed anything.

        A verdict that was made later (``Verdict.judged``) on the same run, which may have been
        resumed or judged again, takes the place of the one that is there; any other does not.
        Raises EvidenceError for a verdict on no particular run.
        """

    @abstractmethod
    def runs(self, scope: Scope = ANY, limit: int = WINDOW) -> tuple[Record, ...]:
        """Return what is known of runs without their tests, newest first."""

    @abstractmethod
    def window(self, scope: Scope = ANY, limit: int = WINDOW) -> Window:
        """Return the newest runs with their tests, to be asked about those."""

    @abstractmethod
    def find(self, name: str) -> PastRun | None:
        """Return the run with this id, or the newest of this name, or None.

        The beginning of either will do where nothing else begins so.
        """

    @abstractmethod
    def prune(self, before: datetime) -> int:
        """Forget the runs that were created before a moment; return how many those were."""

    @abstractmethod
    def close(self) -> None:
        """Let go of whatever is held."""

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

        What runs differ in beside that is no reason to follow them apart.
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
    """The versions that ``run`` had of everything that is not itself under test."""
    projects = {canonicalize_name(source.project) for source in under_test.sources}
    ignored = projects | {f"openstack-{project}" for project in projects}
    return {name: version for name, version in run.versions.items() if name not in ignored}
