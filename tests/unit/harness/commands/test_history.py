# SPDX-License-Identifier: Apache-2.0
"""The output of the commands about earlier runs."""

import io
import itertools
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from unit.results.conftest import RunDir
from unit.results.store.contract import FIRST, verdict

from bsdgate.harness.commands import history
from bsdgate.harness.errors import UsageError
from bsdgate.harness.history import open_store
from bsdgate.results import document
from bsdgate.results.judge import judge_run
from bsdgate.results.model import (
    Case,
    Cause,
    Code,
    Disposition,
    Level,
    Outcome,
    Reason,
    Result,
    Source,
)
from bsdgate.results.store.base import ANY, RunFilter
from bsdgate.results.store.database import Store


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=160)


def said(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.fixture
def run_dir(tmp_path: Path) -> Callable[..., Path]:
    """Make a run's directory with a recording of that hour, and a verdict on it."""

    def make(number: int, judged: datetime | None = None) -> Path:
        made = RunDir(tmp_path / f"run-{number}")
        created = (FIRST + timedelta(hours=number)).isoformat()
        made.manifest |= {"name": made.path.name, "run_id": f"{number:032x}", "created": created}
        made.recorded("subunit", "clean")
        (made.path / "report").mkdir()
        write(made.path, judged=judged)
        return made.path

    return make


def write(folder: Path, **changes: Any) -> None:
    """Write a verdict on the run in a directory, with some fields changed."""
    text = document.render(replace(judge_run(folder), **changes))
    (folder / "report" / "verdict.json").write_text(text)


def test_the_list_has_a_line_for_each_run(store: Store, console: Console) -> None:
    store.import_run(verdict(1, "ssk"))
    store.import_run(verdict(2, "sff", result=Result.FAIL, sources=(Source("keystone", "30.0.1"),)))
    history.show_runs(store, ANY, 10, console)
    head, newest, oldest = said(console).splitlines()
    assert " ".join(head.split()) == "result run asked ran failed took profile, suite"
    assert " ".join(newest.split()) == "FAIL run-2 3 3 2 - embedded smoke keystone 30.0.1"
    assert " ".join(oldest.split()) == "PASS run-1 3 2 0 - embedded smoke"


def test_figures_fit_a_narrow_terminal_and_texts_are_not_cut(store: Store) -> None:
    console = Console(file=io.StringIO(), width=80)
    named = "20261122T183131Z-gate-206e93"
    store.import_run(verdict(1, "s" * 2000, name="n" * 200, suite="nightly", change="c" * 200))
    store.import_run(verdict(2, name=named, suite="gate"))
    history.show_runs(store, ANY, 10, console)
    head, gate, long = said(console).splitlines()
    assert head.endswith("took  profile, suite")
    assert len(head.removesuffix("  profile, suite")) == 80
    assert gate.split() == ["PASS", named, "1", "1", "0", "-", "embedded"]
    assert gate.index("embedded") == head.index("profile")
    rest = ["2000", "2000", "0", "-", "embedded", "nightly", "c" * 200]
    assert long.split() == ["PASS", "n" * 200, *rest]


def test_a_name_that_resembles_a_suite_does_not_hide_the_suite(
    store: Store, console: Console
) -> None:
    store.import_run(verdict(1, name="investigate", suite="gate"))
    history.show_runs(store, ANY, 10, console)
    assert said(console).rstrip().endswith("embedded gate")


def test_the_list_is_limited_and_scoped(store: Store, console: Console) -> None:
    for number in range(5):
        store.import_run(verdict(number, suite="gate" if number < 3 else "smoke"))
    history.show_runs(store, RunFilter(suite="gate"), 2, console)
    assert [line.split()[1] for line in said(console).splitlines()[1:]] == ["run-2", "run-1"]


def test_an_empty_list_names_the_next_step(store: Store, console: Console) -> None:
    history.show_runs(store, ANY, 10, console)
    assert "bsdgate history import" in said(console)


def test_control_characters_in_a_name_are_not_printed(store: Store, console: Console) -> None:
    store.import_run(verdict(1, name="\x1b[31mred[bold]"))
    history.show_runs(store, ANY, 10, console)
    history.show_run(store, "\x1b[31mred[bold]", console)
    assert "\x1b" not in said(console)
    assert said(console).count(r"\x1b[31mred[bold]") == 2


def test_import_is_idempotent(store: Store, console: Console, run_dir: Callable[..., Path]) -> None:
    folders = [run_dir(1), run_dir(2)]
    assert history.import_runs(store, folders, console) == 0
    assert history.import_runs(store, folders, console) == 0
    first, second = said(console).splitlines()
    assert first == "2 imported, 0 known already, 0 refused"
    assert second == "0 imported, 2 known already, 0 refused"


def test_a_bad_directory_is_refused_and_the_others_are_imported(
    store: Store, console: Console, run_dir: Callable[..., Path], tmp_path: Path
) -> None:
    cut, linked = run_dir(2), run_dir(3)
    text = (cut / "report" / "verdict.json").read_text()
    (cut / "report" / "verdict.json").write_text(text[: len(text) // 2])
    (linked / "report" / "verdict.json").unlink()
    (linked / "report" / "verdict.json").symlink_to(run_dir(4) / "report" / "verdict.json")
    folders = [tmp_path / "nothing", cut, linked, run_dir(1)]
    assert history.import_runs(store, folders, console) == 3
    assert [record.run.name for record in store.runs()] == ["run-1"]
    for folder in folders[:3]:
        assert f"refused {folder}: " in said(console)
    assert "1 imported, 0 known already, 3 refused" in said(console)


def test_a_verdict_that_contradicts_itself_is_refused(
    store: Store, console: Console, run_dir: Callable[..., Path]
) -> None:
    wrong, other, right = (run_dir(number) for number in (1, 2, 3))
    write(wrong, cases=(Case("t", Outcome.MISSING),))
    shutil.copy(wrong / "report" / "verdict.json", other / "report" / "verdict.json")
    assert history.import_runs(store, [wrong, other, right], console) == 3
    assert [record.run.name for record in store.runs()] == ["run-3"]
    output = said(console)
    assert f"refused {wrong}: {wrong}/report/verdict.json contradicts itself or its run: " in output
    assert "there is no disposition of t, which did not pass" in output
    assert "name is run-1, but run-2 in manifest.json" in output
    assert output.count(f"-> judge the run again: bsdgate report {wrong}") == 1
    assert "1 imported, 0 known already, 2 refused" in output


def test_an_older_copy_of_a_verdict_is_not_imported(
    store: Store, console: Console, run_dir: Callable[..., Path]
) -> None:
    folder = run_dir(1, judged=FIRST + timedelta(days=2))
    assert history.import_runs(store, [folder], console) == 0
    write(folder, judged=FIRST + timedelta(days=1))
    assert history.import_runs(store, [folder], console) == 0
    assert store.runs()[0].judged == FIRST + timedelta(days=2)
    kept = f"not imported: the history has a different verdict on the run of {folder}"
    assert f"{kept}, made 2026-11-03 00:00 UTC; this one was made 2026-11-02 00:00 UTC" in said(
        console
    )
    write(folder, judged=FIRST + timedelta(days=3))
    assert history.import_runs(store, [folder], console) == 0
    assert store.runs()[0].judged == FIRST + timedelta(days=3)


def test_control_characters_in_the_name_of_a_bad_directory_are_not_printed(
    store: Store, console: Console, tmp_path: Path
) -> None:
    assert history.import_runs(store, [tmp_path / "\x1b[31m[bold]"], console) == 3
    assert "\x1b" not in said(console)
    assert said(console).count(r"\x1b[31m[bold]") == 2


def test_a_long_import_shows_its_progress(
    store: Store, run_dir: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    ticking = itertools.count(step=history.PROGRESS_AFTER / 2)
    monkeypatch.setattr(time, "monotonic", lambda: next(ticking))
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    history.import_runs(store, [run_dir(number) for number in range(4)], console)
    assert "importing" in said(console)
    assert len(store.runs()) == 4


def test_a_short_import_shows_no_progress(store: Store, run_dir: Callable[..., Path]) -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    history.import_runs(store, [run_dir(1)], console)
    assert "importing" not in said(console)


def test_one_run_is_reported_with_its_reasons(store: Store, console: Console) -> None:
    reason = Reason(Level.FAIL, Code.TESTS_FAILED, "1 test failed", ("t1",))
    evidence = ("03-tempest, on the base: fail",)
    failed = Disposition("t1", True, Cause.BASE, signature="ValueError: <n>", evidence=evidence)
    store.import_run(
        verdict(1, "sf", result=Result.FAIL, reasons=(reason,), dispositions=(failed,))
    )
    history.show_run(store, "run-1", console)
    output = said(console)
    for part in (
        "FAIL by the policy developer",
        "created   2026-11-01 01:00 UTC, took -",
        "2 asked: 1 success, 1 fail",
        "FAIL tests-failed: 1 test failed\n    t1",
        "t1: base\n    ValueError: <n>\n    03-tempest, on the base: fail",
    ):
        assert part in output


def test_a_name_that_several_runs_begin_with_is_ambiguous(store: Store, console: Console) -> None:
    for number in range(16, 23):
        store.import_run(verdict(number))
    with pytest.raises(UsageError) as output:
        history.show_run(store, "run-", console)
    newest = "run-22, run-21, run-20, run-19, run-18"
    assert str(output.value) == (
        f"'run-' is ambiguous: 7 runs begin with it\n  -> choose one: {newest}, …"
    )
    with pytest.raises(UsageError, match=f"7 runs .*\n.* one: {22:032x}, {21:032x}, "):
        history.show_run(store, f"{1:031x}", console)


def test_an_unknown_run_is_reported(store: Store, console: Console) -> None:
    with pytest.raises(UsageError, match="no run 'run-7'"):
        history.show_run(store, "run-7", console)


def test_a_test_is_a_line_of_marks_newest_last(store: Store, console: Console) -> None:
    for number, cases in enumerate(("sf", "ss", "s", "sk", "sx", "su", "sm", "sd")):
        store.import_run(verdict(number, cases))
    history.show_test(store, "t[01]", ANY, 7, console)
    first, second, *_ = said(console).splitlines()
    assert first == ".-sxU?2        2 of 3  t1"
    assert second == ".......        7 of 7  t0"


def test_marks_have_colours(store: Store) -> None:
    store.import_run(verdict(1, "f"))
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system="standard")
    history.show_test(store, "t0", ANY, 7, console)
    assert "\x1b[1;31mF\x1b[0m" in said(console)


def test_every_outcome_has_a_mark_of_its_own() -> None:
    assert len({mark for mark, _ in history.MARKS.values()}) == len(Outcome)


def test_of_many_tests_some_are_shown(store: Store, console: Console) -> None:
    store.import_run(verdict(1, "s" * 60))
    history.show_test(store, "^t", ANY, 7, console)
    assert "and 10 more tests" in said(console)


@pytest.mark.parametrize(
    ("regex", "message"), [("t7", "no test in the last 1 runs has 't7'"), ("(", "not a regular")]
)
def test_a_regex_that_finds_nothing_is_reported(
    store: Store, console: Console, regex: str, message: str
) -> None:
    store.import_run(verdict(1))
    with pytest.raises(UsageError, match=message):
        history.show_test(store, regex, ANY, 7, console)


def test_old_runs_are_deleted(store: Store, console: Console) -> None:
    store.import_run(verdict(1, created=datetime.now(UTC) - timedelta(days=8)))
    store.import_run(verdict(2, created=datetime.now(UTC) - timedelta(days=6)))
    history.forget(store, 7, console)
    assert said(console) == "1 deleted\n"
    assert [record.run.name for record in store.runs()] == ["run-2"]


def test_the_history_is_in_the_state_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BSDGATE_STATE_DIR", str(tmp_path / "state"))
    with open_store(None) as store:
        store.import_run(verdict(1))
    assert (tmp_path / "state" / "history.sqlite").is_file()
    with open_store(f"sqlite:///{tmp_path}/other.sqlite") as store:
        assert store.runs() == ()
