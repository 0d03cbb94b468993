# SPDX-License-Identifier: Apache-2.0
"""The durations of tests in an earlier run, to estimate the remaining time and to split tests."""

from collections.abc import Mapping
from pathlib import Path

from bsdgate.results.errors import EvidenceError
from bsdgate.results.judge import verdict_of


def newest(runs: Path, suite: str | None = None) -> Mapping[str, float]:
    """Return the seconds of each test in the newest verdict, or in the newest verdict of ``suite``.

    Runs with ``--tests`` are skipped: they have only a part of the suite.
    """
    for path in sorted(runs.glob("*/report/verdict.json"), key=_written, reverse=True):
        try:
            verdict = verdict_of(path.parents[1])
        except EvidenceError:
            # An old run that cannot be read must not prevent a new run.
            continue
        if not verdict.run.selection and suite in (None, verdict.run.suite):
            return {each.id: each.seconds for each in verdict.cases if each.seconds is not None}
    return {}


def _written(path: Path) -> float:
    """Return the modification time of a file; 0 if it is unknown."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
