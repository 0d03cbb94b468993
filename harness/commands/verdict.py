# SPDX-License-Identifier: Apache-2.0
"""The commands that judge existing evidence: a run, or files that bsdgate did not make."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from bsdgate.harness import history
from bsdgate.harness.commands.run import show
from bsdgate.harness.confirm import known_failures
from bsdgate.results import document, evidence, judge
from bsdgate.results.model import Verdict
from bsdgate.results.policy import DEVELOPER, POLICIES, Policy
from bsdgate.results.reporters.text import plain


@dataclass(frozen=True)
class Files:
    """Evidence that bsdgate did not record: the list of requested tests, and the reports."""

    asked: Path | None = None
    subunit: Sequence[Path] = ()
    junit: Sequence[Path] = ()
    rally: Sequence[Path] = ()
    rally_task: Sequence[Path] = ()


@dataclass(frozen=True)
class Terms:
    """The inputs of a judgement: the policy's name, the history's URL and known failures.

    Without a policy, the policy of the run is used, and ``developer`` for other evidence. The
    known failures are added to those of bsdgate and of the run.
    """

    policy: str | None = None
    history: str | None = None
    expectations: Sequence[Path] = ()

    @property
    def known(self) -> list[Path]:
        """The files and directories with known failures."""
        return [known_failures(), *self.expectations]

    def of(self, run_dir: Path) -> Policy:
        """Return the policy by which a run is judged."""
        return evidence.policy_of(run_dir) if self.policy is None else POLICIES[self.policy]


def of_run(run_dir: Path, terms: Terms, as_json: bool, console: Console) -> int:
    """Judge a run again and print the verdict; return the exit code. No file is written."""
    policy = terms.of(run_dir)
    verdict = history.judge_only(run_dir, policy, terms.history, terms.expectations)
    return _print_verdict(verdict, as_json, console)


def of_files(found: Files, terms: Terms, as_json: bool, console: Console) -> int:
    """Judge evidence that bsdgate did not record and print the verdict; return the exit code."""
    verdict = judge.judge_files(
        found.asked,
        subunit=found.subunit,
        junit=found.junit,
        rally=found.rally,
        rally_task=found.rally_task,
        expectations=terms.known,
        policy=POLICIES[terms.policy or DEVELOPER.name],
    )
    return _print_verdict(verdict, as_json, console)


def report(run_dir: Path, terms: Terms, console: Console) -> int:
    """Judge a run again, write its reports and store it in the history; return the exit code.

    The verdict is printed, then the paths of the reports.
    """

    def warn(text: str) -> None:
        console.print("\n".join(map(plain, text.split("\n"))), markup=False, highlight=False)

    policy, known = terms.of(run_dir), terms.expectations
    verdict = history.judge(run_dir, policy, terms.history, warn, known)
    show(verdict, console)
    console.print()
    for name in sorted(path.name for path in (run_dir / "report").iterdir()):
        console.print(str(run_dir / "report" / name), soft_wrap=True, highlight=False)
    return verdict.result.exit_code


def _print_verdict(verdict: Verdict, as_json: bool, console: Console) -> int:
    if as_json:
        console.out(document.render(verdict), end="", highlight=False)
    else:
        show(verdict, console)
    return verdict.result.exit_code
