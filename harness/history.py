# SPDX-License-Identifier: Apache-2.0
"""Judge a run with the history of earlier runs, report it, and add it to the history."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bsdgate.harness import files, folders, paths
from bsdgate.harness.confirm import known_failures
from bsdgate.results import evidence, reporters
from bsdgate.results import judge as results
from bsdgate.results.errors import EvidenceError
from bsdgate.results.model import Level, Verdict
from bsdgate.results.policy import Policy
from bsdgate.results.store.base import RunFilter, StoreError

if TYPE_CHECKING:
    # Only for annotations: SQLAlchemy takes long to import.
    from bsdgate.results.store.database import Store

EARLIER: Final = 60
"""The maximum number of earlier runs in a report."""


def open_store(url: str | None, *, make: bool = True) -> "Store":
    """Open the history database at ``url``, by default a file in the state directory.

    A missing file is an empty history; it is only made with ``make``.
    """
    # The import of SQLAlchemy takes longer than most commands.
    from bsdgate.results.store.connection import is_there  # noqa: PLC0415
    from bsdgate.results.store.database import Store  # noqa: PLC0415

    place = url or paths.state() / "history.sqlite"
    if make and not url and not paths.state().is_dir():
        with files.explain_errors(paths.state()):
            folders.make(paths.state())
    return Store(place if make or is_there(place) else None)


def check(url: str | None, policy: Policy) -> None:
    """Check before a run that the history can be read, if the policy requires a history.

    :raises StoreError: the history cannot be read, and the policy makes that an error.
    :raises BsdgateError: the URL is invalid, or a newer bsdgate has written the history.
    """
    try:
        open_store(url, make=False).close()
    except StoreError:
        if policy.no_history is Level.ERROR:
            raise


def judge(
    run_dir: Path,
    policy: Policy,
    url: str | None,
    warn: Callable[[str], None],
    expectations: Sequence[Path] = (),
) -> Verdict:
    """Judge a run, write its reports, and add it to the history.

    ``expectations`` are known failures in addition to bsdgate's and the run's. If the history
    cannot be read, the policy determines the verdict. If it can be read but not written, ``warn``
    is called with the reason.
    """

    def report(store: "Store | None", unread: str) -> Verdict:
        verdict = _judge(run_dir, policy, expectations, store, unread)
        verdict = replace(verdict, judged=datetime.now(UTC))
        _report(verdict, run_dir, store)
        if store is not None:
            _add(verdict, store, warn)
        return verdict

    return _with_history(url, report, make=True)


def judge_only(
    run_dir: Path, policy: Policy, url: str | None, expectations: Sequence[Path] = ()
) -> Verdict:
    """Judge a run as ``judge`` does, but write no report and no history."""

    def look(store: "Store | None", unread: str) -> Verdict:
        return _judge(run_dir, policy, expectations, store, unread)

    return _with_history(url, look, make=False)


def _with_history(
    url: str | None, use: Callable[["Store | None", str], Verdict], *, make: bool
) -> Verdict:
    """Call ``use`` with the history or, if it cannot be read, with None and the reason."""
    try:
        with open_store(url, make=make) as store:
            return use(store, "")
    except StoreError as error:
        return use(None, str(error))


def _judge(
    run_dir: Path, policy: Policy, expectations: Sequence[Path], store: "Store | None", unread: str
) -> Verdict:
    known = [known_failures(), *expectations]
    return results.judge_run(run_dir, known, policy, store, unread=unread)


def _report(verdict: Verdict, run_dir: Path, store: "Store | None") -> None:
    run = verdict.run
    run_filter = RunFilter(
        suite=run.suite, profile=run.profile, selection=run.selection, before=run.created
    )
    earlier = store.runs(run_filter, EARLIER) if store else ()
    with files.explain_errors(run_dir / "report"):
        changed = evidence.changed_files(run_dir)
        reporters.write_all(verdict, run_dir, history=earlier, changed=changed)


def _add(verdict: Verdict, store: "Store", warn: Callable[[str], None]) -> None:
    try:
        if not store.import_run(verdict):
            warn("not added: the history has a later verdict on this run")
    except (EvidenceError, StoreError) as error:
        warn(f"not added to the history: {error}")
