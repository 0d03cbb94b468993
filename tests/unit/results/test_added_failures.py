# SPDX-License-Identifier: Apache-2.0
"""Additional known failures: ``--expectations``, and the copies that a run keeps."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from unit.harness.test_commands import Here
from unit.results.conftest import RunDir, seal

from bsdgate.harness.confirm import added_failures
from bsdgate.results.errors import BsdgateError
from bsdgate.results.judge import to_confirm
from bsdgate.results.model import Code, Level, Outcome, Result

ENTRY = """\
- test: {}
  bug: https://bugs.example.org/1
  owner: jane
  reason: known
  since: 2026-01-01
  expires: 2027-06-30
"""
IDS = b"m.C.a\nm.C.b\nm.C.good\n"


@pytest.fixture
def here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Here:
    return Here(tmp_path, monkeypatch, capsys)


@pytest.fixture
def stream(subunit_stream: Callable[..., bytes]) -> bytes:
    made: bytes = subunit_stream(("m.C.a", "fail"), ("m.C.b", "fail"), ("m.C.good", "success"))
    return made


@pytest.fixture
def known(tmp_path: Path) -> Path:
    """Return a directory with two files of known failures and another file."""
    folder = tmp_path / "known"
    folder.mkdir()
    (folder / "a.yaml").write_text(ENTRY.format("m.C.a"))
    (folder / "b.yaml").write_text(ENTRY.format("m.C.b"))
    (folder / "notes.txt").write_text("no entries")
    return folder


@pytest.fixture
def run(run_dir: RunDir, stream: bytes) -> RunDir:
    run_dir.attempt("01-tempest", IDS, seal(stream, "01-tempest"))
    return run_dir


def keep(run: RunDir, **files: str) -> None:
    """Write the copies that ``bsdgate run --expectations`` keeps."""
    folder = run.path / "expectations"
    folder.mkdir()
    digests = {}
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
        digests[f"{name}.yaml"] = hashlib.sha256(text.encode()).hexdigest()
    run.manifest["expectations"] = digests
    run.write_manifest()


def excused(run: RunDir) -> dict[str, str]:
    verdict = run.judge()
    return {case.id: str(case.outcome) for case in verdict.cases}


def test_expectations_are_added_to_those_of_bsdgate(here: Here, stream: bytes, known: Path) -> None:
    (here.path / "asked.txt").write_bytes(IDS)
    (here.path / "s.subunit").write_bytes(stream)
    words = ("verdict", "--asked", here.path / "asked.txt", "--subunit", here.path / "s.subunit")
    one, other = (("--expectations", known / f"{name}.yaml") for name in "ab")
    assert here.call(*words).code == 1
    assert here.call(*words, *one).code == 1
    assert here.call(*words, *one, *other).code == 0
    assert here.call(*words, "--expectations", known).code == 0
    assert here.call(*words, "--expectations", known / "none").code == 2


@pytest.mark.parametrize("command", ["verdict", "report"])
def test_a_run_can_be_judged_with_additional_expectations(
    here: Here, run: RunDir, known: Path, command: str
) -> None:
    assert here.call(command, run.path).code == 1
    ended = here.call(command, run.path, "--expectations", known)
    assert ended.code == 0
    assert "2 known failures excused" in ended.out


@pytest.mark.parametrize("command", ["verdict", "report", "run"])
def test_problems_of_expectations_are_reported(
    here: Here, run: RunDir, known: Path, command: str
) -> None:
    (known / "b.yaml").write_text("- test: m.C.b\n")
    words = [] if command == "run" else [run.path]
    ended = here.call(command, *words, "--expectations", known)
    assert ended.code == 2
    assert "b.yaml:1:3: the key reason is missing" in "".join(ended.err.split("\n"))
    assert not (here.state / "runs").exists()


def test_a_resumed_run_accepts_no_other_expectations(here: Here, run: RunDir, known: Path) -> None:
    ended = here.call("run", "--resume", run.path, "--expectations", known)
    assert ended.code == 2
    assert "--expectations is for a new run" in ended.err


def test_a_run_keeps_numbered_copies_of_the_files(known: Path) -> None:
    kept = added_failures([known / "b.yaml", known])
    assert list(kept) == ["001-b.yaml", "002-a.yaml", "003-b.yaml"]
    assert kept["002-a.yaml"] == (known / "a.yaml").read_bytes()
    (known / "a.yaml").write_text("nonsense")
    with pytest.raises(BsdgateError, match=r"a\.yaml:1"):
        added_failures([known])


def test_a_run_is_judged_with_its_kept_expectations(run: RunDir) -> None:
    assert run.judge().result is Result.FAIL
    keep(run, a=ENTRY.format("m.C.a"), b=ENTRY.format("m.C.b"))
    assert run.judge().result is Result.PASS
    assert excused(run) == {
        "m.C.a": "known-failure",
        "m.C.b": "known-failure",
        "m.C.good": "success",
    }
    assert to_confirm(run.path) == ()


def test_only_failures_that_are_not_known_are_run_again(run: RunDir) -> None:
    keep(run, a=ENTRY.format("m.C.a"))
    assert {rerun.ids for rerun in to_confirm(run.path)} == {("m.C.b",)}


@pytest.mark.parametrize(
    ("harm", "code"),
    [
        (lambda kept: kept.unlink(), Code.EVIDENCE_LOST),
        (lambda kept: kept.write_text(ENTRY.format("m.C.*")), Code.DIGEST_MISMATCH),
        (lambda kept: kept.rename(kept.with_name("other.yaml")), Code.EVIDENCE_LOST),
    ],
    ids=["gone", "changed", "renamed"],
)
def test_lost_or_changed_expectations_excuse_nothing(run: RunDir, harm: Any, code: Code) -> None:
    keep(run, a=ENTRY.format("m.C.a"), b=ENTRY.format("m.C.b"))
    harm(run.path / "expectations" / "a.yaml")
    verdict = run.judge()
    assert verdict.result is Result.ERROR
    assert code in {one.code for one in verdict.reasons if one.level is Level.ERROR}
    assert {case.id for case in verdict.cases if case.outcome is Outcome.FAIL} == {"m.C.a"}


def test_expectations_outside_the_manifest_excuse_nothing(run: RunDir) -> None:
    keep(run, b=ENTRY.format("m.C.b"))
    (run.path / "expectations" / "more.yaml").write_text(ENTRY.format("*"))
    assert run.judge().result is Result.FAIL


@pytest.mark.parametrize("name", ["../../known/a.yaml", "/etc/passwd", "..", "", "a\0b"])
def test_a_path_outside_the_run_directory_is_an_error(run: RunDir, known: Path, name: str) -> None:
    digest = hashlib.sha256((known / "a.yaml").read_bytes()).hexdigest()
    run.manifest["expectations"] = {name: digest}
    run.write_manifest()
    verdict = run.judge()
    assert verdict.result is Result.ERROR
    assert {case.id for case in verdict.cases if case.outcome is Outcome.FAIL} >= {"m.C.a"}


@pytest.mark.parametrize("kept", [["a.yaml"], "a.yaml", 5])
def test_an_invalid_list_of_expectations_in_the_manifest_is_an_error(
    run: RunDir, kept: Any
) -> None:
    run.manifest["expectations"] = kept
    run.write_manifest()
    assert Code.DAMAGED in {reason.code for reason in run.judge().reasons}
