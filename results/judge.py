# SPDX-License-Identifier: Apache-2.0
"""The entry points of the judge: a run directory in, a verdict out."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bsdgate.results import document, evidence, external_evidence, hangs, ledger, strict_json
from bsdgate.results.attempts import DOCUMENT_BOUND, HEAD_BOUND, UnreadableError, open_plain
from bsdgate.results.attribution import Rerun, plan
from bsdgate.results.errors import EvidenceError
from bsdgate.results.expectations import load as load_expectations
from bsdgate.results.model import Cause, Kind, Outcome, Run, Verdict
from bsdgate.results.policy import DEVELOPER, Policy
from bsdgate.results.store.base import JUDGED, RunFilter
from bsdgate.results.time_limits import timed_out, unfinished
from bsdgate.results.verdict import Remembered, judge

if TYPE_CHECKING:
    # For annotations alone: SQLAlchemy takes long to import.
    from bsdgate.results.store.database import Store


def judge_run(
    run_dir: Path,
    expectations: Sequence[Path] = (),
    policy: Policy = DEVELOPER,
    history: "Store | None" = None,
    *,
    unread: str = "",
) -> Verdict:
    """Judge the run in ``run_dir``, with the earlier runs in ``history`` if it is given.

    ``unread`` is the reason why the history could not be read, or empty.

    ``expectations`` are YAML files of known failures, or folders of such files; the files that the
    run recorded are added. Raises EvidenceError if ``run_dir`` is not a run directory,
    ExpectationsError if the known failures cannot be read, StoreError if the history cannot be
    read. Every other fault becomes a reason of the verdict.
    """
    found = evidence.load(run_dir)
    known = load_expectations([*expectations, *found.expectations])
    left_out = _left_out(run_dir / "excluded.json")
    earlier = _earlier(found.run, history) if history else Remembered(unread=unread)
    verdict = judge(found, known, policy, earlier=earlier, left_out=left_out)
    flakes = [one.id for one in verdict.dispositions if one.cause is Cause.FLAKE]
    if history is None or not flakes:
        return verdict
    past = history.window(_like(found.run)).past(flakes)
    return judge(found, known, policy, past, earlier=earlier, left_out=left_out)


def judge_files(
    asked: Path | None,
    *,
    subunit: Sequence[Path] = (),
    junit: Sequence[Path] = (),
    rally: Sequence[Path] = (),
    rally_task: Sequence[Path] = (),
    expectations: Sequence[Path] = (),
    policy: Policy = DEVELOPER,
) -> Verdict:
    """Judge result files that bsdgate did not record (see ``external_evidence.load_files``)."""
    found = external_evidence.load_files(
        asked, subunit=subunit, junit=junit, rally=rally, rally_task=rally_task
    )
    return judge(found, load_expectations(expectations), policy)


def _like(run: Run) -> RunFilter:
    """Return the filter for runs that are like ``run``: earlier, judged, without a change."""
    return RunFilter(
        suite=run.suite,
        profile=run.profile,
        release=run.release,
        changed=False,
        before=run.created,
        results=JUDGED,
    )


def _earlier(run: Run, history: "Store") -> Remembered:
    baseline = history.baseline(run)
    # A run with --tests did not request all tests, so known failures may match none of its tests.
    whole = replace(_like(run), selection="")
    unmatched = {} if run.selection else history.window(whole).unmatched()
    if baseline is None:
        return Remembered(unmatched=unmatched)
    return Remembered(baseline.ran, same_versions=baseline.same_versions, unmatched=unmatched)


def _left_out(path: Path) -> frozenset[str]:
    """Return the ids that suite and profile exclude (excluded.json); empty without the file."""
    try:
        with open_plain(path, HEAD_BOUND) as file:
            return frozenset(strict_json.loads_object(file.read()))
    except (UnreadableError, ValueError):
        return frozenset()


def to_confirm(run_dir: Path, expectations: Sequence[Path] = ()) -> tuple[Rerun, ...]:
    """Return the re-runs that can find the causes of failures of the run in ``run_dir``.

    The tests are Tempest's failures that no known failure excuses. If the time limit of the whole
    attempt was reached, they are the tests that were in progress then. Raises the same errors as
    ``judge_run``.
    """
    found = evidence.load(run_dir, in_progress=True)
    known = load_expectations([*expectations, *found.expectations])
    verdict = judge(found, known)
    change = verdict.run.changed
    if limited := hangs.limited(found.attempts):
        begun = unfinished(limited)
        reasons = hangs.unexplained(verdict.reasons, limited)
        return plan({limited.name: sorted(begun)}, reasons, change=change, hung=begun)
    failures = [case for case in verdict.cases if case.outcome is Outcome.FAIL]
    failed = {case.id for case in failures}
    hung = {case.id for case in failures if timed_out(case)}
    by_attempt: dict[str, list[str]] = {}
    # Several attempts of a resumed run may request an id: its failure is in the last of them.
    for attempt in sorted(found.attempts, key=lambda attempt: attempt.name, reverse=True):
        if attempt.kind is Kind.TEMPEST and not attempt.confirms:
            own = failed.intersection(attempt.asked)
            failed -= own
            by_attempt |= {attempt.name: sorted(own)} if own else {}
    return plan(by_attempt, verdict.reasons, change=change, hung=hung)


def verdict_of(folder: Path) -> Verdict:
    """Read and check the verdict in a run directory; EvidenceError if there is none or invalid."""
    path = folder / "report" / "verdict.json"
    try:
        with open_plain(path, DOCUMENT_BOUND) as file:
            content = file.read()
    except (UnreadableError, OSError) as reason:
        hint = f"if this is a run directory, judge the run: bsdgate report {folder}"
        raise EvidenceError(f"no verdict: {reason}", hint) from None
    return document.parse(content)


def remaining(run_dir: Path, kind: Kind) -> tuple[str, ...]:
    """Return the ids that a resumed run has to request again.

    These are the ids without an outcome in the last attempt of ``kind``, in the order of the
    request. The judge accepts a resumed run only if its next attempt requests exactly these ids.
    Raises EvidenceError if there is no attempt of ``kind``.
    """
    found = evidence.load(run_dir)
    attempts = [
        attempt for attempt in found.attempts if attempt.kind is kind and not attempt.confirms
    ]
    if not attempts:
        raise EvidenceError(f"{run_dir}: no {kind} results to resume from", "start a new run")
    return ledger.unreported(max(attempts, key=lambda attempt: attempt.name))
