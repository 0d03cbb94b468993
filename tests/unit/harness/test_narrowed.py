# SPDX-License-Identifier: Apache-2.0
"""A run with ``--tests`` differs from a whole run in all reports."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from fakes.listener import FakeListener
from unit.harness.test_commands import Ended, Here
from unit.results.store.contract import verdict

from bsdgate.harness import history, pipeline
from bsdgate.harness.errors import UsageError
from bsdgate.harness.history import open_store
from bsdgate.harness.pipeline import Options
from bsdgate.results.judge import judge_run
from bsdgate.results.model import Code, Level, Outcome, Result
from bsdgate.results.policy import DEVELOPER, GATE, POLICIES, Policy
from bsdgate.results.store.database import Store

PATTERN = r"test_(users|roles): [a\]]"
NARROWED = f"narrowed by --tests '{PATTERN}'"


@pytest.fixture
def here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Here:
    return Here(tmp_path, monkeypatch, capsys)


@pytest.fixture
def run(here: Here) -> Path:
    return here.run("clean", selection=PATTERN)


@pytest.fixture
def reported(here: Here, run: Path) -> Ended:
    return here.call("report", run)


def test_the_terminal_names_the_selection(reported: Ended) -> None:
    assert reported.code == 0
    first, *others = reported.out.strip().splitlines()
    assert first.startswith("PASS: ")
    assert first.endswith(f"; {NARROWED}")
    last = [line for line in others if line.startswith("PASS: ")]
    assert [line.endswith(f"; {NARROWED}") for line in last] == [True]
    assert "NOTE narrowed: " in reported.out


def test_every_report_names_the_selection(reported: Ended, run: Path) -> None:
    report = run / "report"
    assert (report / "report.txt").read_text().count(NARROWED) == 3
    page = (report / "report.html").read_text()
    assert "<title>PASS (narrowed) · " in page
    assert f"and none failed; narrowed by --tests &#39;{PATTERN}&#39;." in page
    document = json.loads((report / "verdict.json").read_text())
    assert document["run"]["selection"] == PATTERN
    assert "narrowed" in [reason["code"] for reason in document["reasons"]]


def test_junit_names_the_selection(reported: Ended, run: Path) -> None:
    (suite,) = ElementTree.parse(run / "report" / "report.xml").getroot()
    assert suite.get("name") == f"bsdgate, {NARROWED}"
    assert suite[0].tag == "properties"
    assert [child.attrib for child in suite[0]] == [{"name": "selection", "value": PATTERN}]
    assert int(suite.get("tests", 0)) == len(suite.findall("testcase"))


def test_zuul_names_the_selection(reported: Ended, run: Path) -> None:
    returned = json.loads((run / "report" / "zuul.json").read_text())["zuul"]
    assert {one["metadata"]["selection"] for one in returned["artifacts"]} == {PATTERN}
    head, *reasons = returned["warnings"]
    assert head.startswith("bsdgate PASS: ")
    assert head.endswith(f"; {NARROWED}")
    assert any(reason.startswith("NOTE narrowed: ") for reason in reasons)


def test_the_history_names_the_selection(here: Here, reported: Ended) -> None:
    assert f"embedded smoke {NARROWED}" in here.call("history").out
    assert f"embedded smoke 2026.2 {NARROWED}" in here.call("history", "show", "run-clean").out


def test_a_whole_run_has_no_selection_in_its_reports(here: Here) -> None:
    run = here.run("clean")
    assert here.call("report", run).code == 0
    for path in (run / "report").iterdir():
        assert "narrowed" not in path.read_text()


def test_a_long_pattern_is_cut_and_hides_no_counts(here: Here) -> None:
    long = f"\x1b[31m{'x' * 1000}"
    ended = here.call("report", here.run("clean", selection=long))
    unremembered, *lines = ended.out.strip().splitlines()
    first = next(line for line in lines if line.startswith("PASS: "))
    assert unremembered.startswith(
        "not added to the history: the run's selection has 1010 characters"
    )
    assert first.endswith(f"; narrowed by --tests '\\x1b[31m{'x' * 94}…'")


@pytest.mark.parametrize("policy", POLICIES.values(), ids=lambda policy: policy.name)
def test_a_policy_for_votes_gives_no_verdict_on_a_part_of_a_suite(
    run: Path, policy: Policy
) -> None:
    votes = policy is not DEVELOPER
    found = judge_run(run, policy=policy)
    (reason,) = (one for one in found.reasons if one.code is Code.NARROWED)
    assert PATTERN in reason.message
    assert reason.level is (Level.ERROR if votes else Level.NOTE)
    assert found.result is (Result.ERROR if votes else Result.PASS)


def test_a_selection_is_refused_before_the_run() -> None:
    with pytest.raises(UsageError) as caught:
        pipeline.begin(Options(tests="test_users", policy="gate"), FakeListener())
    assert "--tests 'test_users'" in caught.value.message
    assert caught.value.hint == "run the whole suite, or choose --policy developer"


def test_failures_of_a_narrowed_run_keep_their_causes(here: Here) -> None:
    run = here.run("outcomes", selection=PATTERN)
    causes = [judge_run(run, policy=policy).dispositions for policy in (DEVELOPER, GATE)]
    assert causes[0] == causes[1] != ()


# Compared with whole runs ----------------------------------------------------------------------


def earlier(selection: str, **changes: Any) -> Store:
    """Add an earlier good run with more tests to the history."""
    store = Store()
    cases = {f"gone.{number}": Outcome.SUCCESS for number in range(3)}
    store.import_run(verdict(1, cases, selection=selection, versions={}, **changes))
    return store


@pytest.mark.parametrize("now", ["", PATTERN])
@pytest.mark.parametrize("before", ["", PATTERN])
def test_only_runs_of_one_selection_are_compared(here: Here, before: str, now: str) -> None:
    run = here.run("clean", selection=now, **{"with": []})
    verdict = judge_run(run, history=earlier(before))
    fewer = [reason for reason in verdict.reasons if reason.code is Code.FEWER_RAN]
    assert len(fewer) == (before == now)


def test_only_whole_runs_count_for_entries_that_matched_nothing(here: Here, tmp_path: Path) -> None:
    (tmp_path / "known").mkdir()
    (tmp_path / "known" / "a.yaml").write_text(
        '- {test: no.such.test, bug: "https://b/1", owner: jane, reason: why,'
        " since: 2026-01-01, expires: 2027-01-01}\n"
    )
    run = here.run("clean", **{"with": []})
    for selection, reported in ((PATTERN, False), ("", True)):
        store = Store()
        (entry,) = judge_run(run, [tmp_path / "known"]).unmatched
        for number in range(1, 20):
            store.import_run(verdict(number, selection=selection, unmatched=(entry,)))
        found = judge_run(run, [tmp_path / "known"], DEVELOPER, store)
        codes = {reason.code for reason in found.reasons}
        assert (Code.EXPECTATION_UNMATCHED in codes) is reported


def test_the_trend_is_of_runs_with_the_same_selection(here: Here, run: Path) -> None:
    with open_store(None) as store:
        store.import_run(verdict(1, name="whole-run"))
        store.import_run(verdict(2, name="narrowed-run", selection=PATTERN))
    history.judge(run, DEVELOPER, None, print)
    page = (run / "report" / "report.html").read_text()
    assert "narrowed-run" in page
    assert "whole-run" not in page
