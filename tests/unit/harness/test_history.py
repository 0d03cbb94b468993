# SPDX-License-Identifier: Apache-2.0
"""The verdict on a run with a history, and without a history that can be read."""

import errno
import json
import sys
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from subunit.v2 import StreamResultToBytes
from unit.harness.manifests import manifest, with_node
from unit.results import conftest

from bsdgate.harness import history
from bsdgate.harness.cli import main
from bsdgate.harness.run_dir import RunDir
from bsdgate.results.errors import BsdgateError
from bsdgate.results.model import Code, Result
from bsdgate.results.parsers.subunit import StreamReader
from bsdgate.results.policy import CHECK, DEVELOPER, GATE, NIGHTLY, POLICIES, Policy
from bsdgate.results.store.base import StoreError
from bsdgate.results.store.database import Store


@pytest.fixture
def run(tmp_path: Path) -> Path:
    made = conftest.RunDir(tmp_path / "run")
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


def test_a_run_is_judged_reported_and_added_to_the_history(run: Path, url: str) -> None:
    said: list[str] = []
    assert history.judge(run, GATE, url, said.append).result is Result.PASS
    assert (written(run), said) == ("PASS", [])
    with Store(url) as store:
        assert [record.result for record in store.runs()] == [Result.PASS]


@pytest.mark.parametrize("policy", [CHECK, GATE, NIGHTLY], ids=lambda policy: policy.name)
def test_no_vote_is_given_without_the_history(run: Path, broken: str, policy: Policy) -> None:
    verdict = history.judge(run, policy, broken, print)
    assert verdict.result is Result.ERROR
    (reason,) = (one for one in verdict.reasons if one.code is Code.NO_HISTORY)
    assert "broken.sqlite: file is not a database" in reason.message
    assert written(run) == "ERROR"
    with pytest.raises(StoreError):
        history.check(broken, policy)


def test_an_unreadable_history_is_reported_to_a_developer(run: Path, broken: str) -> None:
    history.check(broken, DEVELOPER)
    verdict = history.judge(run, DEVELOPER, broken, print)
    assert verdict.result is Result.PASS
    assert "broken.sqlite" in (run / "report" / "report.txt").read_text()


def test_a_verdict_that_cannot_be_stored_is_valid(
    run: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> bool:
        raise StoreError("the disk is full")

    monkeypatch.setattr(Store, "import_run", full)
    said: list[str] = []
    assert history.judge(run, GATE, url, said.append).result is Result.PASS
    assert said == ["not added to the history: the disk is full"]


def test_an_invalid_url_is_refused_before_a_run() -> None:
    with pytest.raises(BsdgateError, match="not a valid URL"):
        history.check("somewhere", DEVELOPER)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:s3cret@db.example.org:port/history",
        "postgresql://me:s3cret@db.example.org:/history",
        "postgresql://me:s3cret@db.example.org:65536/history",
        "postgresql://me:s3cret@db.example.org:-1/history",
        "postgresql://me:s3cret@[::1/history",
        "postgresql://me:s3cret",
        "postgresql://me:s3c?r@et:x",
    ],
)
@pytest.mark.parametrize("command", ["history", "trends", "verdict", "report", "run"])
def test_a_port_that_is_not_a_number_is_an_error(
    run: Path,
    url: str,
    command: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("BSDGATE_HISTORY_URL", url)
    monkeypatch.setenv("BSDGATE_STATE_DIR", str(tmp_path / "state"))
    words = [command, str(run)] if command in {"verdict", "report"} else [command]
    monkeypatch.setattr(sys, "argv", ["bsdgate", *words])
    assert main() == 2
    message = capsys.readouterr().err
    assert message.count("postgresql://…") == 1
    assert "the port in the history's URL" in message
    assert "s3c" not in message
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("policy", POLICIES.values(), ids=lambda policy: policy.name)
def test_without_the_history_judge_only_gives_the_verdict_of_the_report(
    run: Path, broken: str, policy: Policy
) -> None:
    before = sorted(run.rglob("*"))
    verdict = history.judge_only(run, policy, broken)
    assert sorted(run.rglob("*")) == before
    assert Code.NO_HISTORY in {reason.code for reason in verdict.reasons}
    assert replace(history.judge(run, policy, broken, print), judged=None) == verdict


def test_a_history_that_cannot_be_read_is_not_an_empty_one(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, **_: Any) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "exists", refuse)
    verdict = history.judge_only(run, GATE, "sqlite:////absent/history.sqlite")
    assert verdict.result is Result.ERROR
    (reason,) = (one for one in verdict.reasons if one.code is Code.NO_HISTORY)
    assert "cannot open the history /absent/history.sqlite: Permission denied" in reason.message


TRACEBACK = 'Traceback:\n  File "/venv/site-packages/keystone/api/users.py", line 7, in get\nBoom\n'


def failed_run(base: Path, **fields: Any) -> Path:
    """Make a run of one test, which failed in a file of Keystone."""
    stream = BytesIO()
    writer = StreamResultToBytes(stream)
    writer.status(test_id="m.A.one", file_name="traceback", file_bytes=TRACEBACK.encode())
    writer.status(test_id="m.A.one", test_status="fail")
    reader = StreamReader()
    reader.feed(stream.getvalue())
    made = manifest(**fields)
    with RunDir.create(base, made) as run:
        attempt = with_node(run).begin_attempt("tempest", "subunit", b"m.A.one\n")
        attempt.stream.write(stream.getvalue())
        attempt.stream.write(reader.make_seal(made.run_id, attempt.name))
        attempt.end(0)
        return run.path


@pytest.mark.parametrize("files", [(), ("keystone/api/users.py", "README.rst")])
def test_a_failure_is_reported_with_the_changed_lines_in_its_traceback(
    tmp_path: Path, files: tuple[str, ...]
) -> None:
    path = failed_run(tmp_path, changed_files=files)
    url = f"sqlite:///{tmp_path / 'history.sqlite'}"
    assert history.judge(path, CHECK, url, print).result is Result.FAIL
    comments = json.loads((path / "report" / "zuul.json").read_text())["zuul"]["file_comments"]
    assert {file: [one["line"] for one in found] for file, found in comments.items()} == (
        {files[0]: [7]} if files else {}
    )
