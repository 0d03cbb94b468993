# SPDX-License-Identifier: Apache-2.0
"""How long tests took in an earlier run: for the time left, and to share tests among workers."""

from collections.abc import Mapping
from pathlib import Path

from bsdgate.results.errors import EvidenceError
from bsdgate.results.judge import verdict_of


def newest(runs: Path, suite: str | None = None) -> Mapping[str, float]:
    """Return seconds by test id from the newest verdict, of that suite if one is named.

    Runs that were narrowed by ``--tests`` are left out: they know a part of the suite.
    """
    for path in sorted(runs.glob("*/report/verdict.json"), key=_written, reverse=True):
        try:
            verdict = verdict_of(path.parents[1])
        except EvidenceError:
            # An old run that cannot be read is no reason not to begin a new one.
            continue
        if not verdict.run.selection and suite in (None, verdict.run.suite):
            return {each.id: each.seconds for each in verdict.cases if each.seconds is not None}
    return {}


def _written(path: Path) -> float:
    """Return when the file was written; the earliest time if that is not known."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
