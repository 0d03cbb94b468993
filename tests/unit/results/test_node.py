# SPDX-License-Identifier: Apache-2.0
"""node.json, the document on the node of a run, is evidence like other files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from unit.results.conftest import RunDir

from bsdgate.results.model import Code, Result, Source

Stream = Callable[..., bytes]
ONE = ("m.A.one", "success")


@pytest.fixture
def stream(subunit_stream: Stream, sealed: Stream) -> bytes:
    """Return the stream of one test that passed."""
    found: bytes = sealed(subunit_stream(("m.A.one", "inprogress"), ONE), "01-tempest")
    return found


@pytest.fixture
def run(run_dir: RunDir, stream: bytes) -> RunDir:
    """Return a run that passed on a node with a fact and a version."""
    run_dir.on_node(facts={"freebsd": "15.1"}, versions={"nova": "34.0"})
    run_dir.attempt("01-tempest", b"m.A.one\n", stream)
    return run_dir


def codes(run: RunDir) -> set[Code]:
    verdict = run.judge()
    assert verdict.result is Result.ERROR
    return {reason.code for reason in verdict.reasons}


def edit(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_the_verdict_has_the_facts_and_versions_of_the_node(run: RunDir) -> None:
    verdict = run.judge()
    assert verdict.result is Result.PASS
    assert verdict.run.facts == {"freebsd": "15.1"}
    assert verdict.run.versions == {"nova": "34.0"}


def test_the_changed_projects_have_their_installed_versions(run_dir: RunDir, stream: bytes) -> None:
    asked = {"project": "keystone", "source": "/k", "identity": "sha256:12"}
    run_dir.manifest["with"] = [asked]
    run_dir.on_node(**{"with": [asked | {"version": "30.0.1"}]})
    run_dir.attempt("01-tempest", b"m.A.one\n", stream)
    assert run_dir.judge().run.sources == (Source("keystone", "30.0.1", "/k", "sha256:12"),)


def test_a_run_without_node_json_is_an_error(run: RunDir) -> None:
    (run.path / "node.json").unlink()
    assert Code.EVIDENCE_LOST in codes(run)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"schema": 2}'])
def test_a_damaged_node_json_is_an_error(run: RunDir, content: str) -> None:
    (run.path / "node.json").write_text(content)
    assert Code.DAMAGED in codes(run)


@pytest.mark.parametrize(
    "fields",
    [
        {"run_id": "0" * 32},
        {"with": []},
        {"with": [{"project": "keystone", "version": "30", "identity": "sha256:13"}]},
    ],
    ids=str,
)
def test_the_node_json_of_another_run_is_an_error(run: RunDir, fields: dict[str, Any]) -> None:
    edit(run.path / "node.json", **fields)
    assert Code.FOREIGN_EVIDENCE in codes(run)


@pytest.mark.parametrize("fields", [{"facts": {}}, {"name": "other"}], ids=str)
def test_a_node_json_that_was_altered_after_the_tests_is_an_error(
    run: RunDir, fields: dict[str, Any]
) -> None:
    edit(run.path / "node.json", **fields)
    assert Code.FOREIGN_EVIDENCE in codes(run)


@pytest.mark.parametrize("node", [None, {"name": "local", "sha256": "0" * 64}], ids=str)
def test_an_attempt_on_another_node_is_an_error(run: RunDir, node: dict[str, str] | None) -> None:
    edit(run.path / "evidence" / "01-tempest" / "attempt.json", node=node)
    assert Code.FOREIGN_EVIDENCE in codes(run)


def test_a_symbolic_link_is_not_followed(run: RunDir, tmp_path: Path) -> None:
    (run.path / "node.json").rename(tmp_path / "elsewhere.json")
    (run.path / "node.json").symlink_to(tmp_path / "elsewhere.json")
    assert Code.ATTEMPT_UNREADABLE in codes(run)
