# SPDX-License-Identifier: Apache-2.0
"""A verdict.json of version 3 that an earlier bsdgate wrote equals the verdict of today."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from unit.results.conftest import RunDir
from unit.results.test_agreement import KNOWN, run  # noqa: F401 - a fixture

from bsdgate.results import document
from bsdgate.results.errors import EvidenceError
from bsdgate.results.judge import judge_run
from bsdgate.results.model import Excuse, KnownFailure, Result, Source, Verdict
from bsdgate.results.policy import GATE

OLD = Path(__file__).resolve().parents[2] / "golden" / "version-3"
CHANGE = {"change": "12345", "patchset": "2"}


def old(name: str) -> Verdict:
    return document.parse((OLD / f"{name}.json").read_bytes())


def without_places(verdict: Verdict) -> Verdict:
    """Return the verdict without messages of reasons and without fields that version 3 lacks."""
    found = [
        replace(one, known_failure=one.known_failure and replace(one.known_failure, source=""))
        for one in verdict.dispositions
    ]
    reasons = tuple(replace(one, message="") for one in verdict.reasons)
    return replace(verdict, reasons=reasons, dispositions=tuple(found), judged=None)


def test_the_old_verdict_on_a_passed_run_equals_the_new_one(run: RunDir) -> None:  # noqa: F811
    project = {"project": "keystone", "version": "30.0.0", "identity": "sha256:12"}
    run.manifest |= CHANGE | {
        "with": [project | {"source": "/home/jane/my keystone"}],
        "versions": {"keystone": "30.0.0", "tempest": "47.0.0"},
        "facts": {"freebsd": "15.1", "architecture": "amd64"},
        "features": [
            {
                "option": "compute-feature-enabled.rescue",
                "value": "false",
                "reason": "no rescue disk",
            }
        ],
    }
    run.write_manifest()
    for head in run.path.glob("evidence/*/attempt.json"):
        fields = json.loads(head.read_text()) | CHANGE | {"with": run.manifest["with"]}
        head.write_text(json.dumps(fields))
    verdict = judge_run(run.path, [run.path.parent / "known"], GATE)
    assert verdict.result is Result.PASS
    assert without_places(old("passed")) == without_places(verdict)


def test_the_old_verdict_on_an_error_equals_the_new_one(
    run_dir: RunDir,
    subunit_stream: Callable[..., bytes],
    sealed: Callable[..., bytes],
    tmp_path: Path,
) -> None:
    (tmp_path / "known").mkdir()
    (tmp_path / "known" / "a.yaml").write_text(KNOWN)
    run_dir.requires("tempest")
    asked = ["m.A.known_good", "m.A.one", "m.B.one", "m.B.two", "m.C.lost", "m.C.twice", "m.C.ux"]
    ends = [
        ("m.A.known_good", "success"),
        ("m.A.one", "success"),
        ("setUpClass (m.B)", "fail"),
        ("m.C.twice", "success"),
        ("m.C.twice", "fail"),
        ("m.C.ux", "uxsuccess"),
    ]
    stream = sealed(subunit_stream(*ends), "01-tempest")
    run_dir.attempt("01-tempest", "".join(f"{each}\n" for each in asked).encode(), stream)
    verdict = judge_run(run_dir.path, [tmp_path / "known"])
    mine, theirs = without_places(verdict), without_places(old("error"))
    # Version 3 has causes for failed tests only; a class fixture has the cause of its tests.
    assert replace(mine, dispositions=()) == replace(theirs, dispositions=())
    assert [(one.id, one.counts) for one in mine.dispositions] == [
        (one.id, one.counts) for one in theirs.dispositions
    ]
    (failure,) = (one for one in theirs.dispositions if one.id == "setUpClass (m.B)")
    assert failure.tests == ("m.B.one", "m.B.two")


def test_known_failures_and_projects_are_parsed() -> None:
    verdict = old("passed")
    by_id = {one.id: one for one in verdict.dispositions}
    assert by_id["m.A.known"].excuse is Excuse.KNOWN_FAILURE
    assert by_id["m.A.known"].known_failure == KnownFailure("https://b/1", "jane", "why")
    assert (verdict.counts["known-failure"], verdict.counts["xfail"]) == (1, 1)
    source = Source("keystone", "30.0.0", "/home/jane/my keystone", "sha256:12")
    assert verdict.run.sources == (source,)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("counts", {"asked": 100}, "counts do not match"),
        ("run_id", "other", "run_id and run.run_id differ"),
        ("schema", 2, "schema 2"),
        ("cases", None, "not a valid verdict document"),
        ("findings", [{"id": "m.A.base"}], "not a valid verdict document"),
    ],
)
def test_an_inconsistent_old_document_is_refused(key: str, value: Any, message: str) -> None:
    content = json.loads((OLD / "passed.json").read_text()) | {key: value}
    with pytest.raises(EvidenceError, match=message):
        document.parse(json.dumps(content))
