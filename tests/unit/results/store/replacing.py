# SPDX-License-Identifier: Apache-2.0
"""Two verdicts on one run: which one is stored; a subclass provides the fixture ``store``."""

from datetime import datetime
from typing import Any

import pytest
from unit.results.store.contract import at, stored_run, verdict

from bsdgate.results.model import Cause, Disposition, Result
from bsdgate.results.store.database import Store


class ReplacingContract:
    """Tests; each starts with an empty store."""

    def test_a_later_verdict_replaces_an_earlier_one(self, store: Store) -> None:
        store.import_run(verdict(1, "sm", result=Result.ERROR, judged=at(2)))
        assert store.import_run(verdict(1, "ss", judged=at(3)))
        (record,) = store.runs()
        assert record.result is Result.PASS
        assert stored_run(store, "run-1").outcomes == b"ss"

    @pytest.mark.parametrize(
        "change",
        [
            {"name": "other"},
            {"result": Result.FAIL},
            {"policy": "gate"},
            {"cases": "sf"},
            {"versions": {}},
            {"unmatched": ("x",)},
            {"dispositions": (Disposition("t0", False, Cause.FLAKE),)},
            {"cases": "sss"},
            {"timings": {"t0/a": 1.0}},
        ],
        ids=str,
    )
    def test_a_later_verdict_with_any_difference_is_imported(
        self, store: Store, change: dict[str, Any]
    ) -> None:
        store.import_run(verdict(1, "ss"))
        other = verdict(1, **{"cases": "ss"} | change, judged=at(2))
        assert store.import_run(other)
        assert not store.import_run(other)

    @pytest.mark.parametrize(
        ("known", "copy"), [(at(3), at(2)), (at(3), at(3)), (at(3), None), (None, None)], ids=str
    )
    def test_a_verdict_replaces_only_an_older_one(
        self, store: Store, known: datetime | None, copy: datetime | None
    ) -> None:
        store.import_run(verdict(1, "sf", result=Result.FAIL, judged=known))
        before = store.find("run-1")
        assert not store.import_run(verdict(1, "ss", judged=copy))
        assert store.find("run-1") == before

    def test_a_verdict_with_a_judging_time_replaces_one_without(self, store: Store) -> None:
        store.import_run(verdict(1, "sf", result=Result.FAIL))
        assert store.import_run(verdict(1, "ss", judged=at(2)))
        assert stored_run(store, "run-1").record.judged == at(2)
