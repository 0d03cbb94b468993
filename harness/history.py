# SPDX-License-Identifier: Apache-2.0
"""A run is judged in the light of earlier ones, reported, and remembered among them."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from bsdgate.harness import files, places
from bsdgate.harness.confirm import known_failures
from bsdgate.results import judge as results
from bsdgate.results import reporters
from bsdgate.results.model import Verdict
from bsdgate.results.policy import Policy
from bsdgate.results.store.base import Scope, Store, StoreError
from bsdgate.results.store.memory import MemoryStore

EARLIER: Final = 60
"""Runs that a report draws."""


def open_store(url: str | None) -> Store:
    """Open the history: that of ``url``, else the file in the state folder."""
    # SQLAlchemy takes longer to import than most commands take in all.
    from bsdgate.results.store.database import DatabaseStore  # noqa: PLC0415

    return DatabaseStore(url or places.state() / "history.sqlite")


def judge(run_dir: Path, policy: Policy, url: str | None, say: Callable[[str], None]) -> Verdict:
    """Judge a run, write its reports, and remember it.

    A history that cannot be used is told of by ``say``, and judged without.
    """
    try:
        with open_store(url) as store:
            return _judge(run_dir, policy, store)
    except StoreError as error:
        say(f"judged without the history: {error}")
        with MemoryStore() as nothing:
            return _judge(run_dir, policy, nothing)


def _judge(run_dir: Path, policy: Policy, store: Store) -> Verdict:
    verdict = results.judge_run(run_dir, [known_failures()], policy, store)
    scope = Scope(suite=verdict.run.suite, profile=verdict.run.profile, before=verdict.run.created)
    earlier = [
        reporters.Earlier(each.run.created, each.result, each.counts, each.seconds, each.run.name)
        for each in store.runs(scope, EARLIER)
    ]
    with files.explained(run_dir / "report"):
        reporters.write_all(verdict, run_dir, history=earlier)
    store.import_run(verdict)
    return verdict
