# SPDX-License-Identifier: Apache-2.0
"""A run is judged in the light of earlier ones, reported, and remembered among them."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from bsdgate.harness import files, places
from bsdgate.harness.confirm import known_failures
from bsdgate.results import evidence, reporters
from bsdgate.results import judge as results
from bsdgate.results.errors import EvidenceError
from bsdgate.results.model import Level, Verdict
from bsdgate.results.policy import Policy
from bsdgate.results.store.base import Scope, Store, StoreError
from bsdgate.results.store.memory import MemoryStore

EARLIER: Final = 60
"""Runs that a report draws."""


def open_store(url: str | None, *, make: bool = True) -> Store:
    """Open the history: that of ``url``, else the file in the state folder.

    A file that is not there is an empty history; whoever only reads does not ``make`` it.
    """
    # SQLAlchemy takes longer to import than most commands take in all.
    from bsdgate.results.store.connection import is_there  # noqa: PLC0415
    from bsdgate.results.store.database import DatabaseStore  # noqa: PLC0415

    place = url or places.state() / "history.sqlite"
    return DatabaseStore(place) if make or is_there(place) else MemoryStore()


def see(url: str | None, policy: Policy) -> None:
    """See before a run that its history can be had, where a verdict would be worth nothing without.

    :raises StoreError: it cannot, and the policy makes that an error.
    :raises BsdgateError: the URL is none, or the history is of a newer bsdgate.
    """
    try:
        open_store(url, make=False).close()
    except StoreError:
        if policy.no_history is Level.ERROR:
            raise


def judge(run_dir: Path, policy: Policy, url: str | None, say: Callable[[str], None]) -> Verdict:
    """Judge a run, write its reports, and remember it.

    Without a history that can be read, the policy says what the verdict is worth. One that can be
    read and not written to is told of by ``say``.
    """
    try:
        with open_store(url) as store:
            verdict = _report(run_dir, policy, store)
            _remember(verdict, store, say)
            return verdict
    except StoreError as error:
        return _report(run_dir, policy, None, unread=str(error))


def _report(run_dir: Path, policy: Policy, store: Store | None, unread: str = "") -> Verdict:
    verdict = results.judge_run(run_dir, [known_failures()], policy, store, unread=unread)
    run = verdict.run
    scope = Scope(suite=run.suite, profile=run.profile, selection=run.selection, before=run.created)
    earlier = [
        reporters.Earlier(each.run.created, each.result, each.counts, each.seconds, each.run.name)
        for each in (store.runs(scope, EARLIER) if store else ())
    ]
    with files.explained(run_dir / "report"):
        changed = evidence.changed_files(run_dir)
        reporters.write_all(verdict, run_dir, history=earlier, changed=changed)
    return verdict


def _remember(verdict: Verdict, store: Store, say: Callable[[str], None]) -> None:
    try:
        store.import_run(verdict)
    except (EvidenceError, StoreError) as error:
        say(f"not remembered: {error}")
