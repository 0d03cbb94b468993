# SPDX-License-Identifier: Apache-2.0
"""Replace findings by dispositions; move the timings into the column ``notes``.

A finding has the cause of a failure; a disposition has the cause and the excuse.
"""

import json
import zlib
from typing import Any

import sqlalchemy as sa
from alembic import op

from bsdgate.results import upgrade as earlier

revision = "0004"
down_revision = "0003"

OF_RECORD = ("result", "policy", "counts", "seconds", "judged")
NEW_OUTCOMES = ("known-failure", "known-failure-passed")

runs = sa.table(
    "history_run",
    sa.column("run_id", sa.Text),
    sa.column("about", sa.Text),
    sa.column("notes", sa.LargeBinary),
    sa.column("timings", sa.LargeBinary),
)


def upgrade() -> None:
    """Rewrite the columns ``about`` and ``notes`` of each run, and drop the column ``timings``."""
    connection = op.get_bind()
    ids = connection.execute(sa.select(runs.c.run_id)).scalars().all()
    for run_id in ids:
        this = runs.c.run_id == run_id
        row = connection.execute(sa.select(runs).where(this)).one()
        timings = json.loads(zlib.decompress(row.timings)) if row.timings else []
        values = {
            "about": json.dumps(_about(json.loads(row.about))),
            "notes": _packed(_notes(json.loads(zlib.decompress(row.notes)), dict(timings))),
        }
        connection.execute(sa.update(runs).where(this).values(values))
    op.drop_column("history_run", "timings")


def _about(old: dict[str, Any]) -> dict[str, Any]:
    record = {name: old[name] for name in OF_RECORD if name in old}
    record["counts"] = old["counts"] | dict.fromkeys(NEW_OUTCOMES, 0)
    run = {name: value for name, value in old.items() if name not in OF_RECORD}
    return record | {"run": earlier.run(run)}


def _notes(old: list[Any], timings: dict[str, float]) -> dict[str, Any]:
    findings = [
        {"id": test, "cause": cause, "signature": signature, "shown_by": shown_by}
        for test, cause, signature, shown_by in old[0]
    ]
    reasons = earlier.reasons(
        {"level": level, "code": code, "message": message, "ids": ids}
        for level, code, message, ids in old[1]
    )
    return {
        "dispositions": earlier.dispositions(findings, reasons),
        "reasons": reasons,
        "unmatched": old[2],
        "timings": timings,
    }


def _packed(content: object) -> bytes:
    return zlib.compress(json.dumps(content).encode())
