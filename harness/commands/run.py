# SPDX-License-Identifier: Apache-2.0
"""The command ``bsdgate run``: begin a new run, or resume one; print the verdict."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from bsdgate.harness import folders, paths, pipeline
from bsdgate.harness.commands.run_display import RunDisplay
from bsdgate.harness.commands.stopping import stoppable
from bsdgate.harness.pipeline import Options
from bsdgate.harness.runners import durations
from bsdgate.harness.steps import Run
from bsdgate.results.errors import BsdgateError
from bsdgate.results.model import Result, Verdict
from bsdgate.results.reporters import text

_STYLES = {Result.PASS: "green", Result.FAIL: "red", Result.ERROR: "yellow"}


def new(options: Options, console: Console) -> int:
    """Run a suite; return the exit code."""
    return exit_code(*carry_out(options, console))


def carry_out(options: Options, console: Console) -> tuple[Verdict, BsdgateError | None]:
    """Run a suite; return the verdict, and the error with which the run ended."""
    folders.tighten(*paths.by_default())
    display = RunDisplay(console, durations.newest(paths.state() / "runs", options.suite))
    with _stoppable(display):
        return _finish(pipeline.begin(options, display), console)


def again(path: Path, keep: bool, history: str | None, console: Console) -> int:
    """Resume an interrupted run; return the exit code."""
    display = RunDisplay(console, durations.newest(path.parent))
    with _stoppable(display):
        return exit_code(*_finish(pipeline.resume(path, display, keep=keep, url=history), console))


def exit_code(verdict: Verdict, failure: BsdgateError | None) -> int:
    """Return the exit code of a run; raise the error with which it ended."""
    if failure is not None:
        raise failure
    return verdict.result.exit_code


def _finish(run: Run, console: Console) -> tuple[Verdict, BsdgateError | None]:
    folder = run.folder.path
    failure = pipeline.execute(run)
    verdict = pipeline.judge(folder, run.history, run.listener)
    show(verdict, console)
    console.print(f"\nreport  {folder / 'report' / 'report.html'}", soft_wrap=True, highlight=False)
    return verdict, failure


def show(verdict: Verdict, console: Console) -> None:
    """Print a verdict, with its result in colour."""
    head, _, rest = text.render(verdict).partition("\n")
    result, _, meaning = head.partition(":")
    style = _STYLES[verdict.result]
    shown = f"\n[bold {style}]{result}[/]:{escape(meaning)}"
    console.print(shown, highlight=False, soft_wrap=True)
    console.print(escape(rest.rstrip()), highlight=False, soft_wrap=True)


@contextmanager
def _stoppable(display: RunDisplay) -> Iterator[None]:
    """Let signals stop the run; end the display afterwards."""
    with stoppable():
        try:
            yield
        finally:
            display.end()
