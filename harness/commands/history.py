# SPDX-License-Identifier: Apache-2.0
"""The commands for the history: list runs, show one run, or show tests in all runs."""

import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from bsdgate.harness.errors import UsageError
from bsdgate.results import agreement
from bsdgate.results.errors import EvidenceError
from bsdgate.results.judge import verdict_of
from bsdgate.results.model import RAN, Outcome, Result, Verdict
from bsdgate.results.reporters.text import narrowing, plain
from bsdgate.results.store.base import RunFilter
from bsdgate.results.store.rows import PastRun, Record, pack
from bsdgate.results.store.window import PastOutcome, Window

if TYPE_CHECKING:
    # Only for annotations: SQLAlchemy takes long to import.
    from bsdgate.results.store.database import Store

PROGRESS_AFTER: Final = 2.0
"""The number of seconds after which an import shows its progress."""

TESTS_SHOWN: Final = 50
CANDIDATES_SHOWN: Final = 5

STYLES: Final = MappingProxyType({Result.PASS: "green", Result.FAIL: "red", Result.ERROR: "yellow"})
MARKS: Final = MappingProxyType(
    {
        Outcome.SUCCESS: (".", "green"),
        Outcome.FAIL: ("F", "bold red"),
        Outcome.SKIP: ("s", "dim"),
        Outcome.XFAIL: ("x", "yellow"),
        Outcome.UXSUCCESS: ("U", "yellow"),
        Outcome.KNOWN_FAILURE: ("k", "yellow"),
        Outcome.KNOWN_FAILURE_PASSED: ("P", "yellow"),
        Outcome.MISSING: ("?", "bold magenta"),
        Outcome.DUPLICATED: ("2", "bold magenta"),
    }
)
_FAILED: Final = frozenset({Outcome.FAIL, Outcome.XFAIL, Outcome.KNOWN_FAILURE})
_PASSED: Final = RAN - _FAILED
_NOT_ASKED: Final = ("-", "dim")
_TITLES: Final = ("result", "run", "asked", "ran", "failed", "took", "profile, suite")
_NAME: Final = 40
"""The width of the column of names, so that the next columns fit a narrow terminal."""


def show_runs(store: "Store", run_filter: RunFilter, limit: int, console: Console) -> None:
    """Print a table of runs, newest first."""
    records = store.runs(run_filter, limit)
    if not records:
        console.print("no run was found: `bsdgate history import RUN_DIR` adds one")
        return
    rows = [[Text(title, "dim") for title in _TITLES], *([*_row(each)] for each in records)]
    name = min(max(len(row[1]) for row in rows), _NAME)
    for row in rows:
        cells = map(_padded, row, (-6, -name, 5, 4, 6, 9, 0))
        console.print(Text("  ").join(cells), highlight=False, soft_wrap=True)


def _padded(cell: Text, width: int) -> Text:
    """Pad a cell on the left, or on the right if the width is negative; never cut it."""
    missing = max(0, abs(width) - len(cell))
    if width < 0:
        cell.pad_right(missing)
    else:
        cell.pad_left(missing)
    return cell


def _row(record: Record) -> Iterator[Text]:
    run, counts = record.run, record.counts
    yield Text(record.result, style=STYLES[record.result])
    yield Text(plain(run.name or f"{_moment(run.created)} {run.run_id[:8]}"))
    yield Text(str(counts["asked"]))
    yield Text(str(sum(counts[outcome] for outcome in RAN)))
    failed = counts[Outcome.FAIL]
    yield Text(str(failed), style="red" if failed else "dim")
    yield Text(_duration(record.seconds))
    # Names made by the harness contain the suite, so it is not shown again.
    suite = "" if f"-{run.suite}-" in run.name else run.suite
    about = (run.profile, suite, narrowing(run), run.under_test)
    yield Text(plain(" ".join(filter(None, about))))


def import_runs(store: "Store", folders: Iterable[Path], console: Console) -> int:
    """Import runs from their directories; return the exit code.

    A directory without a usable verdict is listed as refused, and the others are imported. If the
    history has a different verdict on a run that is not older, this is printed too.
    """
    done: Counter[bool] = Counter()
    refused = 0
    for folder in _with_progress(list(folders), console):
        try:
            verdict = verdict_of(folder)
            agreement.require(folder, verdict, datetime.now(UTC))
            new = store.import_run(verdict)
            done[new] += 1
            if not new:
                _report_kept(store, folder, verdict, console)
        except EvidenceError as error:
            refused += 1
            text = "\n".join(map(plain, f"{folder}: {error}".split("\n")))
            console.print(f"[red]refused[/] {escape(text)}", soft_wrap=True)
    console.print(
        f"{done[True]} imported, {done[False]} known already, {refused} refused", highlight=False
    )
    return EvidenceError.exit_code if refused else 0


def _report_kept(store: "Store", folder: Path, verdict: Verdict, console: Console) -> None:
    known = store.find(verdict.run.run_id)
    if known is None or known.digest == pack(verdict).digest:
        return
    kept, copy = _time_of_verdict(known.record.judged), _time_of_verdict(verdict.judged)
    named = escape(plain(str(folder)))
    console.print(
        f"not imported: the history has a different verdict on the run of {named}, made {kept};"
        f" this one was made {copy}",
        soft_wrap=True,
        highlight=False,
    )


def _time_of_verdict(moment: datetime | None) -> str:
    return f"{_moment(moment)} UTC" if moment else "at an unknown time"


def _with_progress(folders: Sequence[Path], console: Console) -> Iterator[Path]:
    """Yield the directories; show the progress after PROGRESS_AFTER seconds."""
    columns = (TextColumn("importing"), BarColumn(), MofNCompleteColumn())
    progress = Progress(*columns, console=console, transient=True)
    bar = progress.add_task("importing", total=len(folders))
    began = time.monotonic()
    try:
        for folder in folders:
            yield folder
            progress.advance(bar)
            if console.is_terminal and time.monotonic() - began > PROGRESS_AFTER:
                progress.start()
    finally:
        if progress.live.is_started:
            progress.stop()


def show_run(store: "Store", name: str, console: Console) -> None:
    """Print one run from the history.

    :raises UsageError: ``name`` matches no run, or several.
    """
    run = store.find(name)
    if run is None:
        raise _unclear_name(store, name)
    record = run.record
    console.print(
        f"[bold {STYLES[record.result]}]{record.result}[/] by the policy {escape(record.policy)}",
        highlight=False,
    )
    for what, value in _facts(record):
        if value:
            console.print(f"  {what:9} {escape(plain(value))}", highlight=False, soft_wrap=True)
    for line in _reason_lines(run):
        console.print(line, highlight=False, soft_wrap=True)


def _unclear_name(store: "Store", name: str) -> UsageError:
    """Return the error for a name that matches no run, or several."""
    runs = (record.run for record in store.runs(limit=sys.maxsize))
    found = [
        run.name if run.name.startswith(name) else run.run_id
        for run in runs
        if run.name.startswith(name) or run.run_id.startswith(name)
    ]
    if found:
        more = ", …" if len(found) > CANDIDATES_SHOWN else ""
        return UsageError(
            f"{name!r} is ambiguous: {len(found)} runs begin with it",
            f"choose one: {', '.join(found[:CANDIDATES_SHOWN])}{more}",
        )
    hint = "give the name or id of a run, or its first characters; `bsdgate history` lists the runs"
    return UsageError(f"there is no run {name!r} in the history", hint)


def _facts(record: Record) -> Iterator[tuple[str, str]]:
    run = record.run
    yield "run", f"{run.name} {run.run_id}".strip()
    yield "created", f"{_moment(run.created)} UTC, took {_duration(record.seconds)}"
    yield "judged", f"{_moment(record.judged)} UTC" if record.judged else ""
    yield "settings", " ".join(filter(None, (run.profile, run.suite, run.release, narrowing(run))))
    yield "change", run.under_test
    yield "facts", ", ".join(f"{name} {value}" for name, value in run.facts.items())
    states = (f"{record.counts[state]} {state}" for state in Outcome if record.counts[state])
    yield "tests", f"{record.counts['asked']} asked: {', '.join(states)}"


def _reason_lines(run: PastRun) -> Iterator[str]:
    for reason in run.notes.reasons:
        yield f"\n{reason.level.upper()} {reason.code}: {escape(plain(reason.message))}"
        yield from (f"    {escape(plain(test))}" for test in reason.ids)
    for one in run.notes.dispositions:
        yield f"\n{escape(plain(one.id))}: [bold]{one.excuse or one.cause}[/]"
        yield f"    {escape(plain(one.signature))}"
        yield from (f"    {escape(plain(line))}" for line in one.evidence)


def show_test(
    store: "Store", regex: str, run_filter: RunFilter, limit: int, console: Console
) -> None:
    """Print the outcomes of tests in the last ``limit`` runs, those with most failures first.

    Each test has a line with a mark for each run, the newest last.

    :raises UsageError: no test in these runs matches ``regex``, or it is not a regular expression.
    """
    window = store.window(run_filter, limit)
    found = {test: window.history(test) for test in filter(_searcher(regex), window.ids)}
    tests = sorted(found, key=lambda test: (-_failures(found[test]), test))
    if not tests:
        raise UsageError(
            f"no test in the last {len(window)} runs has {regex!r} in its id",
            "look at more runs with --limit, or at others with --suite and --profile",
        )
    for test in tests[:TESTS_SHOWN]:
        console.print(_line(test, found[test], window), soft_wrap=True)
    if len(tests) > TESTS_SHOWN:
        console.print(f"and {len(tests) - TESTS_SHOWN} more tests", highlight=False)
    legend = Text("\n")
    for outcome, (mark, style) in MARKS.items():
        legend.append(mark, style).append(f" {outcome}  ", "dim")
    console.print(legend.append(*_NOT_ASKED).append(" not asked", "dim"))


def _searcher(regex: str) -> Callable[[str], object]:
    try:
        return re.compile(regex).search
    except re.error as reason:
        raise UsageError(f"{regex!r} is not a regular expression: {reason}") from None


def _line(test: str, history: Sequence[PastOutcome], window: Window) -> Text:
    by_record = {id(one.record): one for one in history}
    line = Text()
    for record in reversed(window.records):
        one = by_record.get(id(record))
        line.append(*(MARKS[one.outcome] if one else _NOT_ASKED))
    return line.append(f"  {_rate(history):>12}  ", "dim").append(plain(test))


def _failures(history: Sequence[PastOutcome]) -> int:
    return sum(one.outcome in _FAILED for one in history)


def _rate(history: Sequence[PastOutcome]) -> str:
    ran = [one.outcome for one in history if one.outcome in RAN]
    passed = sum(outcome in _PASSED for outcome in ran)
    return f"{passed} of {len(ran)}"


def forget(store: "Store", days: int, console: Console) -> None:
    """Delete the runs that are older than ``days`` days."""
    gone = store.prune(datetime.now(UTC) - timedelta(days=days))
    console.print(f"{gone} deleted", highlight=False)


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02} min" if minutes else f"{seconds:.1f} s"
