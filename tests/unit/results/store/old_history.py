# SPDX-License-Identifier: Apache-2.0
"""A history of bsdgate with schema 0003; a subclass provides the fixture ``place``."""

import base64
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy

from bsdgate.results.model import Cause, Code, Excuse, Outcome, Past, Result, Source
from bsdgate.results.store import migrate
from bsdgate.results.store.connection import Database
from bsdgate.results.store.database import Store

ROWS = Path(__file__).resolve().parents[3] / "golden" / "version-3" / "rows.json"


def write_old(place: Path) -> None:
    """Create the tables of schema 0003 with the recorded rows."""
    database = Database(place)
    migrate.upgrade(database, "0003")
    with database.writing() as connection:
        for name, rows in json.loads(ROWS.read_text()).items():
            table = sqlalchemy.Table(name, sqlalchemy.MetaData(), autoload_with=connection)
            for row in rows:
                connection.execute(table.insert().values(_decoded(row, table)))
    database.close()


def _decoded(row: dict[str, Any], table: Any) -> dict[str, Any]:
    decoded = {}
    for name, value in row.items():
        if isinstance(value, dict):
            value = base64.b64decode(value["bytes"])
        elif isinstance(table.c[name].type, sqlalchemy.Boolean):
            value = bool(value)
        elif isinstance(table.c[name].type, sqlalchemy.DateTime) and value:
            value = datetime.fromisoformat(value)
        decoded[name] = value
    return decoded


class OldHistoryContract:
    """Tests; ``place`` is the path or URL of an empty database."""

    def test_old_runs_are_migrated(self, place: Path) -> None:
        write_old(place)
        with Store(place) as store:
            passed, failed = store.find("5f0c"), store.find("aaaa")
            window = store.window()
        assert passed
        run = passed.record.run
        assert (passed.record.result, passed.record.policy) == (Result.PASS, "gate")
        assert (run.change, run.patchset) == ("12345", "2")
        source = Source("keystone", "30.0.0", "/home/jane/my keystone", "sha256:12")
        assert run.sources == (source,)
        assert run.facts == {"architecture": "amd64", "freebsd": "15.1"}
        assert run.versions == {"keystone": "30.0.0", "tempest": "47.0.0"}
        assert passed.record.counts["known-failure"] == 0
        (base,) = passed.notes.dispositions
        assert (base.id, base.cause, base.excuse) == ("m.A.base", Cause.BASE, Excuse.FAILS_ON_BASE)
        assert not base.counts
        assert len(base.evidence) == 4
        assert Code.FAILS_ON_BASE in {reason.code for reason in passed.notes.reasons}
        assert failed
        assert failed.notes.timings == {"m.A.one/boot": 1.5}
        assert Code.SETUP_FAILED in {reason.code for reason in failed.notes.reasons}
        assert all(one.counts for one in failed.notes.dispositions)
        assert window.past(["m.A.base"])["m.A.base"] == (Past(Outcome.FAIL, base.signature),)

    def test_a_migrated_history_can_be_opened_again_and_pruned(self, place: Path) -> None:
        write_old(place)
        with Store(place) as store:
            before = store.runs()
        with Store(place) as store:
            assert store.runs() == before
            assert store.prune(before[0].run.created) == 0
