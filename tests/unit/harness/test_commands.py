# SPDX-License-Identifier: Apache-2.0
"""The commands for evidence and history, on a terminal of 80 columns."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from unit.results.conftest import GOLDEN, RunDir
from unit.results.store.contract import verdict

from bsdgate.harness.cli import main
from bsdgate.results.store.database import Store

SUBUNIT, JUNIT, RALLY = GOLDEN / "subunit", GOLDEN / "junit" / "kyua", GOLDEN / "rally" / "dummies"


class Ended(NamedTuple):
    code: int
    out: str
    err: str


class Here:
    """A state directory and a directory for runs; ``call`` runs the command line."""

    def __init__(
        self, path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.path = path
        self.state = path / "state"
        self._patch, self._capsys = monkeypatch, capsys
        monkeypatch.setenv("BSDGATE_STATE_DIR", str(self.state))
        monkeypatch.setenv("COLUMNS", "80")

    def call(self, *words: Any) -> Ended:
        self._patch.setattr(sys, "argv", ["bsdgate", *map(str, words)])
        ended = Ended(main(), *self._capsys.readouterr())
        assert "Traceback" not in ended.err
        assert "\x1b" not in ended.out + ended.err
        return ended

    def run(self, case: str, **manifest: Any) -> Path:
        """Make the directory of a run with a golden recording in it."""
        made = RunDir(self.path / case)
        made.manifest |= {"name": f"run-{case}"} | manifest
        made.recorded("subunit", case)
        return made.path


@pytest.fixture
def here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Here:
    return Here(tmp_path, monkeypatch, capsys)


# Verdict and report ------------------------------------------------------------------------

RUNS = {"clean": (0, "PASS"), "outcomes": (1, "FAIL"), "kill-inside": (3, "ERROR")}


@pytest.mark.parametrize(("case", "code", "result"), [(name, *end) for name, end in RUNS.items()])
def test_a_verdict_on_a_run_is_reported_and_nothing_is_written(
    here: Here, case: str, code: int, result: str
) -> None:
    run = here.run(case)
    before = sorted(here.path.rglob("*"))
    ended = here.call("verdict", run)
    assert ended.code == code
    assert ended.out.lstrip().startswith(f"{result}: ")
    assert f"run    run-{case} " in ended.out
    assert sorted(here.path.rglob("*")) == before


@pytest.mark.parametrize(("case", "code", "result"), [(name, *end) for name, end in RUNS.items()])
def test_a_report_prints_the_verdict_and_then_its_path(
    here: Here, case: str, code: int, result: str
) -> None:
    run = here.run(case)
    ended = here.call("report", run)
    assert ended.code == code
    assert ended.out.lstrip().startswith(f"{result}: ")
    written = [Path(line) for line in ended.out.splitlines()[-5:]]
    assert written == sorted((run / "report").iterdir())
    assert json.loads((run / "report" / "verdict.json").read_text())["result"] == result


@pytest.mark.parametrize("command", ["verdict", "report"])
@pytest.mark.parametrize(
    ("policy", "code", "result", "level"),
    [("developer", 0, "PASS", "NOTE"), ("gate", 3, "ERROR", "ERROR")],
)
def test_without_the_history_a_verdict_follows_the_policy(
    here: Here, command: str, policy: str, code: int, result: str, level: str
) -> None:
    broken = here.path / "broken.sqlite"
    broken.write_text("no database " * 99)
    url = f"sqlite:///{broken}"
    ended = here.call(command, here.run("clean"), "--policy", policy, "--history-url", url)
    assert ended.code == code
    assert ended.out.lstrip().startswith(f"{result}: ")
    assert f"{level} no-history: " in ended.out
    assert ended.err == ""


ELSEWHERE = {
    "subunit": (["--asked", SUBUNIT / "clean/asked.txt"], SUBUNIT / "clean/stream.subunit", 0),
    "junit": (["--asked", JUNIT / "asked.txt"], JUNIT / "stream.xml", 1),
    "rally": (["--rally-task", RALLY / "asked.json"], RALLY / "stream.json", 3),
}


@pytest.mark.parametrize("kind", ELSEWHERE)
def test_evidence_of_other_programs_is_judged(here: Here, kind: str) -> None:
    asked, stream, code = ELSEWHERE[kind]
    ended = here.call("verdict", *asked, f"--{kind}", stream)
    assert ended.code == code
    assert " asked: " in ended.out
    assert "no-list" not in ended.out
    alone = here.call("verdict", f"--{kind}", stream)
    assert alone.code == 3
    assert "ERROR no-list" in alone.out
    document = json.loads(here.call("verdict", *asked, f"--{kind}", stream, "--json").out)
    assert document["policy"] == "developer"
    assert not here.state.exists()


@pytest.mark.parametrize(
    "words", [[], [".", "--asked", JUNIT / "asked.txt"], ["nothing"]], ids=["none", "both", "gone"]
)
def test_a_verdict_without_evidence_is_refused(here: Here, words: list[str | Path]) -> None:
    ended = here.call("verdict", *words)
    assert ended.code == 2
    assert "RUN_DIR" in ended.err


def test_control_characters_in_a_file_are_not_printed(here: Here) -> None:
    (here.path / "task.json").write_text('[{"name": "a\\u001b[31mb", "iterations": 0}]')
    words = ("--rally", RALLY / "stream.json", "--rally-task", here.path / "task.json")
    ended = here.call("verdict", *words)
    assert ended.code == 3
    assert r"a\x1b[31mb" in ended.err
    assert "iterations is 0" in ended.err
    assert "\x1b" not in ended.err


# The policy --------------------------------------------------------------------------------


def policies(here: Here, run: Path, *words: str) -> tuple[str, str]:
    """The policy by which each command judges the run."""
    policy = json.loads(here.call("verdict", run, "--json", *words).out)["policy"]
    here.call("report", run, *words)
    return policy, json.loads((run / "report" / "verdict.json").read_text())["policy"]


@pytest.mark.parametrize(
    ("manifest", "words", "policy"),
    [
        ({}, [], "developer"),
        ({"policy": "gate"}, [], "gate"),
        ({"policy": "gate"}, ["--policy", "check"], "check"),
        ({"policy": "strictest"}, ["--policy", "nightly"], "nightly"),
    ],
)
def test_a_run_is_judged_again_by_its_own_policy(
    here: Here, manifest: dict[str, str], words: list[str], policy: str
) -> None:
    run = here.run("clean", **manifest)
    assert policies(here, run, *words) == (policy, policy)


@pytest.mark.parametrize("policy", ["strictest", "", 7, ["gate"]], ids=str)
@pytest.mark.parametrize("command", ["verdict", "report"])
def test_an_unknown_policy_is_named(
    here: Here, command: str, policy: str | int | list[str]
) -> None:
    run = here.run("clean", policy=policy)
    ended = here.call(command, run)
    assert ended.code == 3
    assert f"{run / 'manifest.json'}: there is no policy {policy!r}" in ended.err
    assert "developer, check, gate, nightly" in ended.err
    assert not (run / "report").exists()


# History and trends ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a history of forty runs, and two of another suite, made once."""
    path = tmp_path_factory.mktemp("history") / "history.sqlite"
    with Store(path) as store:
        for number in range(40):
            store.import_run(verdict(number, "sf"))
        for number in (40, 41):
            store.import_run(verdict(number, "sf", suite="gate", profile="morello"))
    return path


@pytest.fixture
def past(here: Here, history: Path) -> Here:
    """Return a state directory with that history."""
    here.state.mkdir()
    shutil.copy(history, here.state)
    return here


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["history"], 0, "PASS    run-41      2     2       1          -  morello gate"),
        (["history", "--suite", "gate", "-n", "1"], 0, "run-41"),
        (["history", "--profile", "nope"], 0, "no run was found"),
        (["history", "show", "run-7"], 0, "PASS by the policy developer"),
        (["history", "show", "run-3"], 0, "run-3 "),
        (["history", "show", "run-"], 2, "ambiguous: 42 runs begin with it"),
        (["history", "show", "nope"], 2, "there is no run 'nope'"),
        (["history", "test", "t1", "--suite", "gate"], 0, "FF        0 of 2  t1"),
        (["history", "test", "("], 2, "not a regular expression"),
        (["history", "test", "nope"], 2, "no test in the last 42 runs has 'nope'"),
        (["history", "--suite", "gate", "test", "t1"], 2, "--suite before test"),
        (["history", "-n", "3", "show", "run-1"], 2, "--limit before show"),
        (["history", "forget", "--days", "99999"], 0, "0 deleted"),
        (["trends"], 0, "2 series: 0 regression, 0 improvement, 1 noise, 1 with too few"),
        (["trends", "t0", "--suite", "smoke"], 0, "1 series: "),
        (["trends", "nope"], 2, "nothing begins with 'nope': 42 runs have 2 series"),
        (["trends", "--suite", "nope"], 2, "of embedded smoke, morello gate"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_history_is_shown(past: Here, words: list[str], code: int, message: str) -> None:
    ended = past.call(*words)
    assert ended.code == code
    assert message in (ended.err if code else ended.out)
    assert (ended.out if code else ended.err) == ""


@pytest.mark.parametrize(
    "words",
    [["history"], ["history", "test", "t"], ["history", "show", "r"], ["trends"]],
    ids=" ".join,
)
def test_a_command_that_only_reads_makes_no_history(here: Here, words: list[str]) -> None:
    assert here.call(*words).code in {0, 2}
    assert not here.state.exists()


def test_runs_are_imported(here: Here) -> None:
    run = here.run("outcomes")
    here.call("report", run)
    (here.state / "history.sqlite").unlink()
    empty = here.path / "empty"
    empty.mkdir()
    ended = here.call("history", "import", run, empty)
    assert ended.code == 3
    assert f"refused {empty}: " in ended.out
    assert f"bsdgate report {empty}" in ended.out
    assert ended.out.endswith("1 imported, 0 known already, 1 refused\n")
    assert "FAIL    run-outcomes     12     9       5" in here.call("history").out


# Scorecard and known failures --------------------------------------------------------------


@pytest.fixture
def listed(here: Here) -> Path:
    file = here.path / "ids.txt"
    file.write_text("tempest.api.compute.test_x.C.one[id-1]\ntempest.api.volume.test_x.C.two\n")
    return file


def test_the_scorecard_of_a_list(here: Here, listed: Path) -> None:
    page = here.path / "page.html"
    ended = here.call("scorecard", "--list", listed, "--profile", "embedded", "--html", page)
    assert ended.code == 0
    assert "embedded" in ended.out
    assert "volume" in page.read_text()


def test_a_page_that_cannot_be_written_is_refused_before_the_work(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bsdgate.harness.commands.scorecard._list", lambda: pytest.fail("late"))
    page = here.path / "nothing" / "page.html"
    ended = here.call("scorecard", "--html", page)
    assert ended.code == 2
    assert f"cannot write {page}" in ended.err
    assert "--html" in ended.err
    assert ended.out == ""


def test_known_failures_are_checked(here: Here) -> None:
    assert here.call("expectations", "check").code == 0
    (here.path / "a.yaml").write_text('- test: "a\\e[31mb"\n  owner: "\\e[31mjim"\n')
    (here.path / "b.yml").touch()
    ended = here.call("expectations", "check", here.path)
    assert ended.code == 2
    assert f"{here.path / 'a.yaml'}:1:3: the key reason is missing" in ended.out
    assert f"{here.path / 'b.yml'}: ignored" in ended.out


def test_known_failures_of_others_are_proposed(here: Here) -> None:
    folder = here.path / "FreeBSD-main-aarch64-test"
    folder.mkdir()
    (folder / "xfail-list").write_text("lib.libx.a_test:one\n")
    ended = here.call("expectations", "import", here.path)
    assert (ended.code, ended.err) == (0, "1 proposal: 1 by xfail-list\n")
    assert "test: lib/libx/a_test:one" in ended.out
    (folder / "xfail-list").unlink()
    assert here.call("expectations", "import", here.path).code == 2
