# SPDX-License-Identifier: Apache-2.0
"""The commands that judge evidence that is there already: a run's, or files from elsewhere."""

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
    """Evidence from elsewhere: the list of what was asked, and what reported back."""

    asked: Path | None = None
    subunit: Sequence[Path] = ()
    junit: Sequence[Path] = ()
    rally: Sequence[Path] = ()
    rally_task: Sequence[Path] = ()


def of_run(
    run_dir: Path, policy: str | None, history_url: str | None, as_json: bool, console: Console
) -> int:
    """Judge a run anew and print the verdict; return the exit code. Nothing is written.

    Without the name of a ``policy``, by the one that the run was made for.
    """
    verdict = history.judge_only(run_dir, _policy(policy, run_dir), history_url)
    return _tell(verdict, as_json, console)


def of_files(found: Files, policy: str | None, as_json: bool, console: Console) -> int:
    """Judge files and print the verdict; return the exit code."""
    verdict = judge.judge_files(
        found.asked,
        subunit=found.subunit,
        junit=found.junit,
        rally=found.rally,
        rally_task=found.rally_task,
        expectations=[known_failures()],
        policy=POLICIES[policy or DEVELOPER.name],
    )
    return _tell(verdict, as_json, console)


def report(run_dir: Path, policy: str | None, history_url: str | None, console: Console) -> int:
    """Judge a run anew, write its reports again and remember it; return the exit code.

    What is printed is the verdict, then where the reports are.
    """

    def say(told: str) -> None:
        console.print("\n".join(map(plain, told.split("\n"))), markup=False, highlight=False)

    verdict = history.judge(run_dir, _policy(policy, run_dir), history_url, say)
    show(verdict, console)
    console.print()
    for name in sorted(path.name for path in (run_dir / "report").iterdir()):
        console.print(str(run_dir / "report" / name), soft_wrap=True, highlight=False)
    return verdict.result.exit_code


def _policy(name: str | None, run_dir: Path) -> Policy:
    return evidence.policy_of(run_dir) if name is None else POLICIES[name]


def _tell(verdict: Verdict, as_json: bool, console: Console) -> int:
    if as_json:
        console.out(document.render(verdict), end="", highlight=False)
    else:
        show(verdict, console)
    return verdict.result.exit_code
