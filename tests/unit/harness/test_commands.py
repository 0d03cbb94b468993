# SPDX-License-Identifier: Apache-2.0
"""The commands about evidence and history, as people give them at a terminal of 80 columns."""

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from unit.results.conftest import GOLDEN, RunDir

from bsdgate.harness.cli import main

SUBUNIT, JUNIT, RALLY = GOLDEN / "subunit", GOLDEN / "junit" / "kyua", GOLDEN / "rally" / "dummies"


class Ended(NamedTuple):
    code: int
    out: str
    err: str


class Here:
    """A state folder of its own, and a folder for runs; ``call`` is the command line."""

    def __init__(self, path: Path, monkeypatch: Any, capsys: Any) -> None:
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
def here(tmp_path, monkeypatch, capsys):
    return Here(tmp_path, monkeypatch, capsys)


# Verdict and report ------------------------------------------------------------------------

RUNS = {"clean": (0, "PASS"), "outcomes": (1, "FAIL"), "kill-inside": (3, "ERROR")}


@pytest.mark.parametrize(("case", "code", "result"), [(name, *told) for name, told in RUNS.items()])
def test_a_verdict_on_a_run_is_told_and_nothing_is_written(here, case, code, result):
    run = here.run(case)
    before = sorted(here.path.rglob("*"))
    ended = here.call("verdict", run)
    assert ended.code == code
    assert ended.out.lstrip().startswith(f"{result}: ")
    assert f"run    run-{case} " in ended.out
    assert sorted(here.path.rglob("*")) == before


@pytest.mark.parametrize(("case", "code", "result"), [(name, *told) for name, told in RUNS.items()])
def test_a_report_tells_the_verdict_then_where_it_is(here, case, code, result):
    run = here.run(case)
    ended = here.call("report", run)
    assert ended.code == code
    assert ended.out.lstrip().startswith(f"{result}: ")
    told = [Path(line) for line in ended.out.splitlines()[-5:]]
    assert told == sorted((run / "report").iterdir())
    assert json.loads((run / "report" / "verdict.json").read_text())["result"] == result


ELSEWHERE = {
    "subunit": (["--asked", SUBUNIT / "clean/asked.txt"], SUBUNIT / "clean/stream.subunit", 0),
    "junit": (["--asked", JUNIT / "asked.txt"], JUNIT / "stream.xml", 1),
    "rally": (["--rally-task", RALLY / "asked.json"], RALLY / "stream.json", 3),
}


@pytest.mark.parametrize("kind", ELSEWHERE)
def test_evidence_from_elsewhere_is_judged(here, kind):
    asked, stream, code = ELSEWHERE[kind]
    ended = here.call("verdict", *asked, f"--{kind}", stream)
    assert ended.code == code
    assert " asked: " in ended.out
    assert "no-list" not in ended.out
    alone = here.call("verdict", f"--{kind}", stream)
    assert alone.code == 3
    assert "ERROR no-list" in alone.out
    told = json.loads(here.call("verdict", *asked, f"--{kind}", stream, "--json").out)
    assert told["policy"] == "developer"
    assert not here.state.exists()


@pytest.mark.parametrize("words", [["--asked", JUNIT / "asked.txt"], [], ["nothing"]], ids=str)
def test_a_verdict_on_nothing_is_a_mistake(here, words):
    ended = here.call("verdict", *(["."] if words and words[0] == "--asked" else []), *words)
    assert ended.code == 2
    assert "RUN_DIR" in ended.err


def test_what_a_file_says_is_no_command_to_the_terminal(here):
    (here.path / "task.json").write_text('[{"name": "a\\u001b[31mb", "iterations": 0}]')
    words = ("--rally", RALLY / "stream.json", "--rally-task", here.path / "task.json")
    ended = here.call("verdict", *words)
    assert ended.code == 3
    assert r"a\x1b[31mb: 0 iterations" in ended.err


# The policy --------------------------------------------------------------------------------


def policies(here, run, *words):
    """The policy by which each command judges the run."""
    told = json.loads(here.call("verdict", run, "--json", *words).out)["policy"]
    here.call("report", run, *words)
    return told, json.loads((run / "report" / "verdict.json").read_text())["policy"]


@pytest.mark.parametrize(
    ("manifest", "words", "policy"),
    [
        ({}, [], "developer"),
        ({"policy": "gate"}, [], "gate"),
        ({"policy": "gate"}, ["--policy", "check"], "check"),
        ({"policy": "strictest"}, ["--policy", "nightly"], "nightly"),
    ],
)
def test_a_run_is_judged_again_as_it_was_made_to_be(here, manifest, words, policy):
    run = here.run("clean", **manifest)
    assert policies(here, run, *words) == (policy, policy)


@pytest.mark.parametrize("policy", ["strictest", "", 7, ["gate"]], ids=str)
@pytest.mark.parametrize("command", ["verdict", "report"])
def test_a_policy_that_nobody_knows_is_named(here, command, policy):
    run = here.run("clean", policy=policy)
    ended = here.call(command, run)
    assert ended.code == 3
    assert f"{run / 'manifest.json'}: there is no policy {policy!r}" in ended.err
    assert "developer, check, gate, nightly" in ended.err
    assert not (run / "report").exists()
