# SPDX-License-Identifier: Apache-2.0
"""The review of ``bsdgate vote``: which runs make it, what it has, and the printed request."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from unit.results.reporters.made import failed, failure_reason, verdict_of

from bsdgate.harness.commands.vote import Content, Server, make, post_waiting, show_request
from bsdgate.harness.errors import UsageError
from bsdgate.results import document
from bsdgate.results.errors import EvidenceError
from bsdgate.results.model import Case, Outcome, Result, Verdict
from bsdgate.results.reporters import zuul
from bsdgate.results.reporters.review import LineComment

CHANGE = ("912345", "3")
USERS = "keystone/api/users.py"
TRACE = f'Traceback (most recent call last):\n  File "/v/{USERS}", line 9, in get\nBoom\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def run_of(folder: Path, verdict: Verdict, run_id: str = "a1", **fields: Any) -> Path:
    """Write the reports of a run on CHANGE; return its directory."""
    about = {"change": "912345", "patchset": "3", "profile": "embedded", "suite": "smoke"}
    run = replace(verdict.run, run_id=run_id, **about | fields)
    verdict = replace(verdict, run=run)
    report = folder / run_id / "report"
    report.mkdir(parents=True)
    (report / "verdict.json").write_text(document.render(verdict))
    (report / "zuul.json").write_text(json.dumps(zuul.render(verdict, changed=[USERS])))
    return folder / run_id


def passed() -> Verdict:
    return verdict_of(Result.PASS, Case("m.a", Outcome.SUCCESS))


def failing() -> Verdict:
    return verdict_of(
        Result.FAIL, failed("m.a", reason="Boom", details=TRACE), reasons=[failure_reason("m.a")]
    )


def test_a_run_is_a_buildset_with_its_id(folder: Path) -> None:
    made = make([run_of(folder, failing())], CHANGE, Content("Verified", ["https://x.example"]))
    assert (made.buildset.change, made.buildset.patchset, made.buildset.uuid) == (912345, 3, "a1")
    assert made.labels == {"Verified": -1}
    assert "* embedded-smoke https://x.example : FAILURE" in made.message
    assert made.comments == (LineComment(USERS, 9, "m.a: Boom"),)


def test_several_runs_are_one_buildset_in_any_order(folder: Path) -> None:
    runs = [
        run_of(folder, passed(), "a1"),
        run_of(folder, passed(), "b2", suite="rally-smoke", profile="/etc/profiles/ours.yaml"),
    ]
    made = make(runs, CHANGE, Content("Verified"))
    assert made.labels == {"Verified": 1}
    assert "* embedded-smoke : SUCCESS" in made.message
    assert "* ours-rally-smoke : SUCCESS" in made.message
    assert make(runs[::-1], CHANGE, Content("Verified")).buildset == made.buildset
    assert made.buildset != make(runs[:1], CHANGE, Content("Verified")).buildset


def test_a_comment_only_has_no_label(folder: Path) -> None:
    assert make([run_of(folder, failing())], CHANGE, Content(None)).labels == {}


@pytest.mark.parametrize(
    ("fields", "tested"),
    [
        ({"patchset": "2"}, "has tested change 912345,2, not 912345,3"),
        ({"change": "7"}, "has tested change 7,3"),
        ({"change": "", "patchset": ""}, "has tested no change"),
    ],
)
def test_a_run_of_another_change_is_refused(
    folder: Path, fields: dict[str, str], tested: str
) -> None:
    with pytest.raises(UsageError, match=tested):
        make([run_of(folder, passed(), **fields)], CHANGE, Content("Verified"))


def test_two_runs_of_one_suite_are_refused(folder: Path) -> None:
    runs = [run_of(folder, passed(), "a1"), run_of(folder, passed(), "b2")]
    with pytest.raises(UsageError, match="two runs of embedded-smoke"):
        make(runs, CHANGE, Content("Verified"))


def test_each_run_has_a_url_or_none_has(folder: Path) -> None:
    with pytest.raises(UsageError, match="1 run directories and 2 --url"):
        make([run_of(folder, passed())], CHANGE, Content("Verified", ["a", "b"]))


@pytest.mark.parametrize("change", [("0", "3"), ("912345", "0"), ("9" * 13, "3"), ("1", "9" * 7)])
def test_a_change_that_cannot_be_is_refused(folder: Path, change: tuple[str, str]) -> None:
    run = run_of(folder, passed(), change=change[0], patchset=change[1])
    with pytest.raises(UsageError, match="is not a change with its patchset"):
        make([run], change, Content("Verified"))


def test_a_run_with_an_id_that_cannot_be_is_refused(folder: Path) -> None:
    run = run_of(folder, passed())
    path = run / "report" / "verdict.json"
    path.write_text(path.read_text().replace('"a1"', '"a b"'))
    with pytest.raises(UsageError, match="cannot be the id of a buildset"):
        make([run], CHANGE, Content("Verified"))


@pytest.mark.parametrize("name", ["verdict.json", "zuul.json"])
@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"zuul": {"file_comments": [1]}}'])
def test_a_report_that_cannot_be_read_is_an_error(
    folder: Path, name: str, content: str | None
) -> None:
    run = run_of(folder, passed())
    path = run / "report" / name
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(EvidenceError) as caught:
        make([run], CHANGE, Content("Verified"))
    assert "bsdgate report" in str(caught.value)


def test_a_dry_run_prints_the_request(folder: Path) -> None:
    output, run = io.StringIO(), run_of(folder, passed())
    show_request([run], CHANGE, Content("Verified"), "https://x.example/", Console(file=output))
    head, _, body = output.getvalue().partition("\n\n")
    assert head.startswith("POST https://x.example/a/changes/912345/revisions/3/review\n")
    made = make([run], CHANGE, Content("Verified"))
    assert json.loads(body) == made.body()


def test_a_damaged_review_in_the_spool_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BSDGATE_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("BSDGATE_GERRIT_USER", "ci")
    monkeypatch.setenv("BSDGATE_GERRIT_PASSWORD", "secret")
    server, output = Server("http://127.0.0.1:9", None, 0), io.StringIO()
    assert post_waiting(server, Console(file=output)) == 0
    (tmp_path / "reviews" / "1-1-a.json").write_text('{"schema": 1')
    assert post_waiting(server, Console(file=output)) == 3
    assert "1-1-a.json is damaged" in output.getvalue()
    assert (tmp_path / "reviews" / "set-aside" / "1-1-a.json").exists()
    assert post_waiting(server, Console(file=output)) == 0
