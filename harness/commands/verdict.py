# SPDX-License-Identifier: Apache-2.0
"""The commands that judge evidence that is there already: a run's, or files from elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from bsdgate.harness import history
from bsdgate.harness.commands.run import show
from bsdgate.harness.confirm import known_failures
from bsdgate.results import document, judge
from bsdgate.results.model import Verdict
from bsdgate.results.policy import Policy


@dataclass(frozen=True)
class Files:
    """Evidence from elsewhere: the list of what was asked, and what reported back."""

    asked: Path | None = None
    subunit: Sequence[Path] = ()
    junit: Sequence[Path] = ()
    rally: Sequence[Path] = ()
    rally_task: Sequence[Path] = ()


def of_run(
    run_dir: Path, policy: Policy, history_url: str | None, as_json: bool, console: Console
) -> int:
    """Judge a run anew and print the verdict; return the exit code. Nothing is written."""
    with history.open_store(history_url) as store:
        verdict = judge.judge_run(run_dir, [known_failures()], policy, store)
    return _tell(verdict, as_json, console)


def of_files(found: Files, policy: Policy, as_json: bool, console: Console) -> int:
    """Judge files and print the verdict; return the exit code."""
    verdict = judge.judge_files(
        found.asked,
        subunit=found.subunit,
        junit=found.junit,
        rally=found.rally,
        rally_task=found.rally_task,
        expectations=[known_failures()],
        policy=policy,
    )
    return _tell(verdict, as_json, console)


def report(run_dir: Path, policy: Policy, history_url: str | None, console: Console) -> int:
    """Judge a run anew, write its reports again and remember it; return the exit code."""
    verdict = history.judge(run_dir, policy, history_url, console.print)
    for name in sorted(path.name for path in (run_dir / "report").iterdir()):
        console.print(str(run_dir / "report" / name), soft_wrap=True, highlight=False)
    return verdict.result.exit_code


def _tell(verdict: Verdict, as_json: bool, console: Console) -> int:
    if as_json:
        console.out(document.render(verdict), end="", highlight=False)
    else:
        show(verdict, console)
    return verdict.result.exit_code
