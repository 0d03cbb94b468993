# SPDX-License-Identifier: Apache-2.0
"""A run is judged by its history; what a verdict is worth where that cannot be had."""

import json
from pathlib import Path

import pytest
from unit.results.conftest import RunDir

from bsdgate.harness import history
from bsdgate.results.errors import BsdgateError
from bsdgate.results.model import Code, Result
from bsdgate.results.policy import CHECK, DEVELOPER, GATE, NIGHTLY, Policy
from bsdgate.results.store.base import StoreError
from bsdgate.results.store.database import DatabaseStore


@pytest.fixture
def run(tmp_path: Path) -> Path:
    made = RunDir(tmp_path / "run")
    made.recorded("subunit", "clean")
    return made.path


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'history.sqlite'}"


@pytest.fixture
def broken(tmp_path: Path) -> str:
    path = tmp_path / "broken.sqlite"
    path.write_text("no database " * 99)
    return f"sqlite:///{path}"


def written(run: Path) -> str:
    return str(json.loads((run / "report" / "verdict.json").read_text())["result"])


def test_a_run_is_judged_reported_and_remembered(run: Path, url: str) -> None:
    said: list[str] = []
    assert history.judge(run, GATE, url, said.append).result is Result.PASS
    assert (written(run), said) == ("PASS", [])
    with DatabaseStore(url) as store:
        assert [record.result for record in store.runs()] == [Result.PASS]


@pytest.mark.parametrize("policy", [CHECK, GATE, NIGHTLY], ids=lambda policy: policy.name)
def test_no_vote_is_given_without_the_history(run: Path, broken: str, policy: Policy) -> None:
    verdict = history.judge(run, policy, broken, print)
    assert verdict.result is Result.ERROR
    (reason,) = (one for one in verdict.reasons if one.code is Code.NO_HISTORY)
    assert "broken.sqlite: file is not a database" in reason.message
    assert written(run) == "ERROR"
    with pytest.raises(StoreError):
        history.see(broken, policy)


def test_a_developer_is_told_of_a_history_that_cannot_be_read(run: Path, broken: str) -> None:
    history.see(broken, DEVELOPER)
    verdict = history.judge(run, DEVELOPER, broken, print)
    assert verdict.result is Result.PASS
    assert "broken.sqlite" in (run / "report" / "report.txt").read_text()


def test_a_verdict_that_cannot_be_remembered_stands(
    run: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> bool:
        raise StoreError("the disk is full")

    monkeypatch.setattr(DatabaseStore, "import_run", full)
    said: list[str] = []
    assert history.judge(run, GATE, url, said.append).result is Result.PASS
    assert said == ["not remembered: the disk is full"]


def test_what_is_no_url_is_refused_before_a_run() -> None:
    with pytest.raises(BsdgateError, match="no URL"):
        history.see("somewhere", DEVELOPER)
