# SPDX-License-Identifier: Apache-2.0
"""Which of two verdicts on one run a store keeps; a subclass gives the fixture ``store``."""

from datetime import datetime
from typing import Any

import pytest
from unit.results.store.contract import at, kept, verdict

from bsdgate.results.model import Cause, Disposition, Result
from bsdgate.results.store.database import Store


class ReplacingContract:
    """The tests; each begins with an empty store."""

    def test_a_later_verdict_takes_the_place_of_the_earlier(self, store: Store) -> None:
        store.import_run(verdict(1, "sm", result=Result.ERROR, judged=at(2)))
        assert store.import_run(verdict(1, "ss", judged=at(3)))
        (record,) = store.runs()
        assert record.result is Result.PASS
        assert kept(store, "run-1").outcomes == b"ss"

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
    def test_any_difference_is_another_verdict(self, store: Store, change: dict[str, Any]) -> None:
        store.import_run(verdict(1, "ss"))
        other = verdict(1, **{"cases": "ss"} | change, judged=at(2))
        assert store.import_run(other)
        assert not store.import_run(other)

    @pytest.mark.parametrize(
        ("known", "copy"), [(at(3), at(2)), (at(3), at(3)), (at(3), None), (None, None)], ids=str
    )
    def test_an_older_copy_does_not_replace_a_newer_one(
        self, store: Store, known: datetime | None, copy: datetime | None
    ) -> None:
        store.import_run(verdict(1, "sf", result=Result.FAIL, judged=known))
        before = store.find("run-1")
        assert not store.import_run(verdict(1, "ss", judged=copy))
        assert store.find("run-1") == before

    def test_a_verdict_that_says_when_replaces_one_that_does_not(self, store: Store) -> None:
        store.import_run(verdict(1, "sf", result=Result.FAIL))
        assert store.import_run(verdict(1, "ss", judged=at(2)))
        assert kept(store, "run-1").record.judged == at(2)
