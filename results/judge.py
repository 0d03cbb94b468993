# SPDX-License-Identifier: Apache-2.0
"""The doors to the judge: a run directory in, a verdict out."""

from collections.abc import Sequence
from pathlib import Path

from bsdgate.results import evidence, ledger
from bsdgate.results.errors import EvidenceError
from bsdgate.results.expectations import load as load_expectations
from bsdgate.results.model import Kind, Verdict
from bsdgate.results.verdict import DEVELOPER, Policy, judge


def judge_run(
    run_dir: Path, expectations: Sequence[Path] = (), policy: Policy = DEVELOPER
) -> Verdict:
    """Judge the run in ``run_dir``.

    ``expectations`` are YAML files of known failures, or folders of such files. Raises
    EvidenceError if the directory is not a run's, ExpectationsError if the known failures cannot
    be read. Whatever else is wrong is in the verdict.
    """
    return judge(evidence.load(run_dir), load_expectations(expectations), policy)


def remaining(run_dir: Path, kind: Kind) -> tuple[str, ...]:
    """The ids that a resumed run has to ask for again: those that have no outcome yet.

    They are what the last attempt of ``kind`` was asked and did not report, in the order in which
    they were asked. The judge accepts a resumed run only if its next attempt asks for exactly
    these. Raises EvidenceError if there is no such attempt.
    """
    found = evidence.load(run_dir)
    attempts = [attempt for attempt in found.attempts if attempt.kind is kind]
    if not attempts:
        raise EvidenceError(f"{run_dir} has no evidence of {kind} to resume", "start a new run")
    return ledger.unreported(max(attempts, key=lambda attempt: attempt.name))
