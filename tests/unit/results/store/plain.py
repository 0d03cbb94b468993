# SPDX-License-Identifier: Apache-2.0
"""A simple store that is a list of runs; other stores are compared with it."""

from datetime import datetime

from bsdgate.results.model import Verdict
from bsdgate.results.store.base import ANY, WINDOW, RunFilter
from bsdgate.results.store.database import Store
from bsdgate.results.store.rows import PastRun, Record, pack
from bsdgate.results.store.window import Window


class PlainStore(Store):
    """Inherits only ``filters`` and ``baseline``, which call the methods of this class."""

    def __init__(self) -> None:
        self._known: dict[str, PastRun] = {}

    def import_run(self, verdict: Verdict) -> bool:
        run = pack(verdict)
        run_id = run.record.run.run_id
        if (known := self._known.get(run_id)) and not _later(run.record, known.record):
            return False
        self._known[run_id] = run
        return True

    def runs(self, run_filter: RunFilter = ANY, limit: int = WINDOW) -> tuple[Record, ...]:
        return self.window(run_filter, limit).records

    def window(self, run_filter: RunFilter = ANY, limit: int = WINDOW) -> Window:
        return Window([run for run in self._newest() if _is_in(run_filter, run.record)][:limit])

    def find(self, name: str) -> PastRun | None:
        named = [run for run in self._newest() if run.record.run.name == name]
        begun = [
            run
            for run in self._newest()
            if run.record.run.run_id.startswith(name) or run.record.run.name.startswith(name)
        ]
        alone = begun if len(begun) == 1 else []
        return next(iter([*filter(None, [self._known.get(name)]), *named, *alone]), None)

    def prune(self, before: datetime) -> int:
        old = [key for key, run in self._known.items() if run.record.run.created < before]
        for key in old:
            del self._known[key]
        return len(old)

    def _newest(self) -> list[PastRun]:
        def age(one: PastRun) -> tuple[datetime, str]:
            return one.record.run.created, one.record.run.run_id

        return sorted(self._known.values(), key=age, reverse=True)


def _later(record: Record, known: Record) -> bool:
    if record.judged is None:
        return False
    return known.judged is None or known.judged < record.judged


def _is_in(run_filter: RunFilter, record: Record) -> bool:
    names = ("suite", "profile", "release", "selection", "changed")
    wanted = {
        name: getattr(run_filter, name) for name in names if getattr(run_filter, name) is not None
    }
    return (
        {name: getattr(record.run, name) for name in wanted} == wanted
        and record.result in run_filter.results
        and (run_filter.before is None or record.run.created < run_filter.before)
    )
