# SPDX-License-Identifier: Apache-2.0
"""Earlier runs in memory: for tests, and for use without a file."""

from dataclasses import replace
from datetime import datetime

from bsdgate.results.model import Verdict
from bsdgate.results.store.base import ANY, WINDOW, Scope, Store
from bsdgate.results.store.rows import PastRun, Record, pack
from bsdgate.results.store.window import Window


class MemoryStore(Store):
    """A store in memory, lost at the end of the process."""

    def __init__(self) -> None:
        self._runs: dict[str, PastRun] = {}
        self._lists: dict[tuple[str, ...], tuple[str, ...]] = {}

    def import_run(self, verdict: Verdict) -> bool:
        """Store a run."""
        run = pack(verdict)
        run_id = run.record.run.run_id
        known = self._runs.get(run_id)
        if known and not (known.digest != run.digest and run.record.replaces(known.record)):
            return False
        self._runs[run_id] = replace(run, ids=self._lists.setdefault(run.ids, run.ids))
        return True

    def runs(self, scope: Scope = ANY, limit: int = WINDOW) -> tuple[Record, ...]:
        """Return the records of runs, without their tests."""
        return self.window(scope, limit).records

    def window(self, scope: Scope = ANY, limit: int = WINDOW) -> Window:
        """Return the newest runs with their tests."""
        return Window([run for run in self._newest() if scope.includes(run.record)][:limit])

    def find(self, name: str) -> PastRun | None:
        """Return one run."""
        runs = self._newest()
        named = [run for run in runs if run.record.run.name == name]
        begun = [run for run in runs if any(each.startswith(name) for each in _called(run))]
        alone = begun if len(begun) == 1 else []
        return next(iter([*filter(None, [self._runs.get(name)]), *named, *alone]), None)

    def prune(self, before: datetime) -> int:
        """Delete runs."""
        old = [key for key, run in self._runs.items() if run.record.run.created < before]
        for key in old:
            del self._runs[key]
        return len(old)

    def close(self) -> None:
        """Do nothing: there is no connection to close."""

    def _newest(self) -> list[PastRun]:
        runs = self._runs.values()
        return sorted(runs, key=lambda one: _age(one.record), reverse=True)


def _called(run: PastRun) -> tuple[str, str]:
    return run.record.run.run_id, run.record.run.name


def _age(record: Record) -> tuple[datetime, str]:
    return record.run.created, record.run.run_id
