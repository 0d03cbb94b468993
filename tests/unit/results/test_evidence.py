# SPDX-License-Identifier: Apache-2.0
"""Evidence that was lost, exchanged or damaged after it was recorded."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from unit.results.conftest import RunDir

from bsdgate.results import attempts, evidence, ids
from bsdgate.results.errors import EvidenceError
from bsdgate.results.ids import ID_BOUND
from bsdgate.results.model import Code, Level, Result, Source

RECORD = "runner-record.json"
DIED = {"code": "service-died", "text": "nova died"}


@pytest.fixture
def clean(run_dir: RunDir) -> Path:
    """Write a run that passes; return the directory of its only attempt."""
    folder = run_dir.recorded("subunit", "clean")
    assert run_dir.judge().result is Result.PASS
    return folder


def codes(run_dir: RunDir) -> set[Code]:
    verdict = run_dir.judge()
    assert verdict.result is Result.ERROR
    return {reason.code for reason in verdict.reasons if reason.level is Level.ERROR}


def edit(folder: Path, **fields: Any) -> None:
    head = json.loads((folder / "attempt.json").read_text())
    (folder / "attempt.json").write_text(json.dumps(head | fields))


@pytest.mark.parametrize("name", ["asked.txt", "stream.subunit"])
def test_a_changed_file_is_an_error(run_dir: RunDir, clean: Path, name: str) -> None:
    file = clean / name
    content = file.read_bytes()
    file.write_bytes(content.replace(b"test_one", b"test_1ne", 1))
    assert Code.DIGEST_MISMATCH in codes(run_dir)


@pytest.mark.parametrize("name", ["asked.txt", "stream.subunit"])
def test_a_lost_file_is_an_error(run_dir: RunDir, clean: Path, name: str) -> None:
    (clean / name).unlink()
    assert Code.EVIDENCE_LOST in codes(run_dir)


def test_a_missing_digest_is_an_error(run_dir: RunDir, clean: Path) -> None:
    edit(clean, sha256={"asked.txt": None, "stream.subunit": None})
    assert codes(run_dir) == {Code.DIGEST_MISMATCH}


@pytest.mark.parametrize(
    "change",
    [
        {"run_id": "0" * 32},
        {"name": "02-tempest"},
        {"change": "I8f4c"},
        {"patchset": "2"},
        {"with": [{"project": "keystone", "version": "30.0.0", "identity": "sha256:13"}]},
    ],
)
def test_evidence_of_another_run_or_attempt_is_refused(
    run_dir: RunDir, clean: Path, change: dict[str, Any]
) -> None:
    edit(clean, **change)
    assert Code.FOREIGN_EVIDENCE in codes(run_dir)


def test_an_attempt_with_another_name_is_refused_without_a_seal(run_dir: RunDir) -> None:
    report = b'<testsuites><testsuite><testcase classname="a" name="b"/></testsuite></testsuites>'
    run_dir.requires("hostchecks")
    folder = run_dir.attempt("01-hostchecks", b"a.py::b\n", report, "junit")
    assert run_dir.judge().result is Result.PASS
    edit(folder, name="02-hostchecks")
    assert Code.FOREIGN_EVIDENCE in codes(run_dir)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"state": "running"}, Code.ATTEMPT_RUNNING),
        ({"state": "interrupted"}, Code.INTERRUPTED),
        ({"exit_status": 1}, Code.EXIT_STATUS),
        ({"exit_status": None}, Code.EXIT_STATUS),
        ({"problems": ["nova died"]}, Code.HARNESS_PROBLEM),
        ({"problems": [{"code": "x"}]}, Code.HARNESS_PROBLEM),
        ({"schema": 2, "problems": [DIED]}, Code.SERVICE_DIED),
    ],
)
def test_an_unfinished_state_a_failed_status_or_a_problem_is_an_error(
    run_dir: RunDir, clean: Path, change: dict[str, Any], code: Code
) -> None:
    edit(clean, **change)
    assert codes(run_dir) - {Code.LOST_TEST} == {code}


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 4},
        {"schema": True},
        {"schema": 2, "problems": ["nova died"]},
        {"schema": 2, "problems": [None]},
        {"schema": 2, "problems": [{"code": "service-died"}]},
        {"schema": 2, "problems": [DIED | {"level": "note"}]},
        {"schema": 2, "problems": [DIED | {"text": 5}]},
        {"schema": 2, "problems": [DIED | {"code": 5}]},
        {"schema": 2, "problems": [DIED | {"code": ["service-died"]}]},
        {"schema": 2, "problems": [DIED | {"code": "known-failure"}]},
        {"schema": 2, "problems": [DIED | {"code": "left-behind"}]},
        {"state": "fine"},
        {"kind": "other"},
        {"format": "csv"},
        {"exit_status": "0"},
        {"exit_status": False},
        {"asked": "../../manifest.json"},
        {"stream": "/etc/passwd"},
        {"stream": ".."},
        {"asked": "a\0b"},
        {"stream": "x/"},
        {"runner_record": "../02-tempest/runner-record.json"},
        {"problems": None},
        {"problems": "nova died"},
        {"state": "found"},
        {"side": "other"},
        {"side": "base"},
        {"confirms": 1},
        {"test_timeout": "5"},
        {"test_timeout": True},
        {"test_timeout": 0},
        {"test_timeout": -1},
        {"test_timeout": 1e12},
    ],
)
def test_an_invalid_field_of_an_attempt_is_an_error(
    run_dir: RunDir, clean: Path, change: dict[str, Any]
) -> None:
    edit(clean, **change)
    assert Code.ATTEMPT_UNREADABLE in codes(run_dir)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"schema": 1}', "{" * 50_000, "[" * 500_000, '{"schema": NaN}']
)
def test_a_damaged_attempt_is_an_error(run_dir: RunDir, clean: Path, content: str) -> None:
    (clean / "attempt.json").write_text(content)
    assert Code.ATTEMPT_UNREADABLE in codes(run_dir)


@pytest.mark.parametrize("name", ["asked.txt", "stream.subunit", "attempt.json"])
def test_a_symbolic_link_is_not_followed(
    run_dir: RunDir, clean: Path, name: str, tmp_path: Path
) -> None:
    (clean / name).rename(tmp_path / name)
    (clean / name).symlink_to(tmp_path / name)
    assert Code.ATTEMPT_UNREADABLE in codes(run_dir)


@pytest.mark.parametrize("name", ["asked.txt", "stream.subunit", "attempt.json"])
@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
def test_only_regular_files_are_opened(run_dir: RunDir, clean: Path, name: str, kind: str) -> None:
    (clean / name).unlink()
    if kind == "pipe":
        os.mkfifo(clean / name)
    elif kind == "folder":
        (clean / name).mkdir()
    else:
        (clean / name).symlink_to("/dev/zero")
    assert Code.ATTEMPT_UNREADABLE in codes(run_dir)


def test_a_pipe_that_replaces_a_file_does_not_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if the pipe replaced a file after lstat.
    os.mkfifo(tmp_path / "asked.txt")
    (tmp_path / "plain").touch()
    looked = (tmp_path / "plain").lstat()
    monkeypatch.setattr(type(tmp_path), "lstat", lambda _self: looked)
    with pytest.raises(attempts.UnreadableError, match="not a regular file"):
        attempts.open_plain(tmp_path / "asked.txt", 1)


def test_a_symbolic_link_to_the_evidence_is_not_followed(
    run_dir: RunDir, clean: Path, tmp_path: Path
) -> None:
    clean.parent.rename(tmp_path / "elsewhere")
    clean.parent.symlink_to(tmp_path / "elsewhere")
    assert codes(run_dir) == {Code.ATTEMPT_UNREADABLE, Code.EVIDENCE_LOST, Code.NO_EVIDENCE}


def test_a_file_in_place_of_the_evidence_is_an_error(run_dir: RunDir, clean: Path) -> None:
    shutil.rmtree(clean.parent)
    clean.parent.write_text("")
    assert Code.ATTEMPT_UNREADABLE in codes(run_dir)


@pytest.mark.parametrize(
    ("name", "bound"),
    [
        ("attempt.json", attempts.HEAD_BOUND),
        ("asked.txt", attempts.DOCUMENT_BOUND),
        ("stream.subunit", attempts.STREAM_BOUND),
    ],
)
def test_a_file_that_is_too_large_is_not_read(
    run_dir: RunDir, clean: Path, name: str, bound: int
) -> None:
    os.truncate(clean / name, bound + 1)  # a sparse file
    assert Code.TOO_LARGE in codes(run_dir)


@pytest.mark.parametrize("name", ["99999999999-tempest", "1-tempest", "01-TEMPEST", "evil\x1b[2J"])
def test_a_directory_with_an_invalid_name_is_an_error(
    run_dir: RunDir, clean: Path, name: str
) -> None:
    folder = clean.rename(clean.with_name(name))
    edit(folder, name=name)
    assert Code.ATTEMPT_UNREADABLE in codes(run_dir)


def test_the_number_of_attempts_is_limited(
    run_dir: RunDir, clean: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "ATTEMPTS_BOUND", 0)
    assert Code.TOO_LARGE in codes(run_dir)


def test_a_symbolic_link_to_an_attempt_is_not_followed(
    run_dir: RunDir, clean: Path, tmp_path: Path
) -> None:
    clean.rename(tmp_path / clean.name)
    clean.symlink_to(tmp_path / clean.name)
    assert Code.ATTEMPT_UNREADABLE in codes(run_dir)


def test_an_unknown_file_among_the_attempts_is_an_error(run_dir: RunDir, clean: Path) -> None:
    (clean.parent / "core").write_text("")
    assert codes(run_dir) == {Code.ATTEMPT_UNREADABLE}


def test_ids_that_are_not_utf8_are_an_error(
    run_dir: RunDir, clean: Path, subunit_stream: Callable[..., bytes]
) -> None:
    run_dir.attempt("02-tempest", b"\xff\n", subunit_stream(("a", "success")))
    assert Code.ATTEMPT_UNREADABLE in codes(run_dir)


@pytest.mark.parametrize("line", [b"a" * ID_BOUND, b"a" * 10_000_000])
def test_a_too_long_asked_id_is_an_error(
    run_dir: RunDir, clean: Path, subunit_stream: Callable[..., bytes], line: bytes
) -> None:
    run_dir.attempt("02-tempest", b"b\n" + line + b"\n", subunit_stream(("b", "success")))
    assert Code.ATTEMPT_UNREADABLE in codes(run_dir)


def test_a_too_long_list_of_asked_tests_is_an_error(
    run_dir: RunDir, clean: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ids, "IDS_BOUND", 1)
    assert Code.ATTEMPT_UNREADABLE in codes(run_dir)


def test_deleted_evidence_is_an_error(run_dir: RunDir, clean: Path) -> None:
    shutil.rmtree(clean.parent)
    assert Code.NO_EVIDENCE in codes(run_dir)


def test_a_deleted_kind_of_evidence_is_an_error(run_dir: RunDir, clean: Path) -> None:
    run_dir.requires("tempest", "hostchecks")
    assert codes(run_dir) == {Code.EVIDENCE_LOST}


def test_a_gap_in_the_numbers_of_attempts_is_an_error(run_dir: RunDir, clean: Path) -> None:
    run_dir.recorded("junit", "pytest", name="03-hostchecks")
    run_dir.requires("tempest", "hostchecks")
    assert codes(run_dir) == {Code.EVIDENCE_LOST}


@pytest.mark.parametrize("owed", [[], ["other"], None, "tempest"])
def test_a_run_without_required_evidence_is_an_error(
    run_dir: RunDir, clean: Path, owed: str | list[str] | None
) -> None:
    run_dir.manifest["evidence"] = owed
    run_dir.write_manifest()
    assert codes(run_dir) == {Code.NO_EVIDENCE}


def test_the_size_of_a_document_is_limited(
    run_dir: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir.recorded("junit", "pytest")
    monkeypatch.setattr(attempts, "DOCUMENT_BOUND", 100)
    assert Code.TOO_LARGE in codes(run_dir)


@pytest.mark.parametrize(
    "content", [None, "", "{", "[]", '{"schema": 2, "run_id": "1"}', '{"schema": 1, "run_id": "1"}']
)
def test_a_missing_or_invalid_manifest_is_an_error(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(EvidenceError, match="not the manifest of a run") as caught:
        evidence.load(tmp_path)
    assert caught.value.exit_code == 3
    assert caught.value.hint


def test_the_run_has_the_fields_of_the_manifest(run_dir: RunDir, clean: Path) -> None:
    run = evidence.load(run_dir.path).run
    assert (run.profile, run.suite, run.release, run.selection) == (
        "embedded",
        "smoke",
        "2026.2",
        "",
    )
    assert run.sources == (Source("keystone", "30.0.0", identity="sha256:12"),)


def test_facts_are_sorted_and_versions_are_read(run_dir: RunDir, clean: Path) -> None:
    run_dir.manifest |= {"facts": {"freebsd": "15.1", "arch": "arm64"}, "versions": {"nova": "34"}}
    run_dir.write_manifest()
    run = evidence.load(run_dir.path).run
    assert list(run.facts.items()) == [("arch", "arm64"), ("freebsd", "15.1")]
    assert run.versions == {"nova": "34"}
    assert run_dir.judge().result is Result.PASS


@pytest.mark.parametrize("key", ["facts", "versions"])
@pytest.mark.parametrize("value", [["15.1"], "15.1", {"freebsd": 15}, {"freebsd": None}, 7])
def test_facts_that_are_not_texts_are_an_error(
    run_dir: RunDir, clean: Path, key: str, value: Any
) -> None:
    run_dir.manifest[key] = value
    run_dir.write_manifest()
    assert codes(run_dir) == {Code.DAMAGED}
    assert getattr(evidence.load(run_dir.path).run, key) == {}


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (["a/b.py", "c"], ("a/b.py", "c")),
        (None, ()),
        (["x"] * 1000, ("x",) * 500),
    ],
)
def test_changed_files_are_read_from_the_manifest_up_to_a_limit(
    run_dir: RunDir, value: list[str] | None, found: tuple[str, ...]
) -> None:
    run_dir.manifest["changed_files"] = value
    run_dir.write_manifest()
    assert evidence.changed_files(run_dir.path) == found


@pytest.mark.parametrize("value", [["a/b.py", 5, None], "a/b.py", {"a": 1}])
def test_changed_files_that_are_not_a_list_of_texts_are_an_error(
    run_dir: RunDir, clean: Path, value: list[Any] | str | dict[str, int]
) -> None:
    run_dir.manifest["changed_files"] = value
    run_dir.write_manifest()
    assert codes(run_dir) == {Code.DAMAGED}
    assert evidence.changed_files(run_dir.path) == ()


# The runner's own record -------------------------------------------------------------------


@pytest.fixture
def recorded(run_dir: RunDir, clean: Path) -> Callable[..., None]:
    """Write the record of stestr on the clean run; return a function that writes another one."""
    reports = evidence.load(run_dir.path).attempts[0].reports
    others = [(case.id, case.outcome) for case in reports if case.outcome != "success"]

    def write(content: str) -> None:
        (clean / RECORD).write_text(content)
        head = json.loads((clean / "attempt.json").read_text())
        digest = hashlib.sha256(content.encode()).hexdigest()
        edit(clean, runner_record=RECORD, sha256={**head["sha256"], RECORD: digest})

    write(json.dumps({"reports": len(reports), "others": others}))
    assert run_dir.judge().result is Result.PASS
    return write


def test_a_record_that_contradicts_the_reports_is_an_error(
    run_dir: RunDir, recorded: Callable[..., None]
) -> None:
    recorded('{"reports": 1, "others": [["m.A.one", "fail"]]}')
    assert codes(run_dir) == {Code.CONTRADICTED}


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"reports": "x", "others": []}', '{"reports": 1, "others": [1]}']
)
def test_a_record_that_cannot_be_read_is_an_error(
    run_dir: RunDir, recorded: Callable[..., None], content: str
) -> None:
    recorded(content)
    assert codes(run_dir) == {Code.ATTEMPT_UNREADABLE}


def test_a_changed_record_is_an_error(
    run_dir: RunDir, clean: Path, recorded: Callable[..., None]
) -> None:
    with (clean / RECORD).open("a") as file:
        file.write(" ")
    assert codes(run_dir) == {Code.DIGEST_MISMATCH}


def test_a_lost_record_is_an_error(
    run_dir: RunDir, clean: Path, recorded: Callable[..., None]
) -> None:
    (clean / RECORD).unlink()
    assert codes(run_dir) == {Code.EVIDENCE_LOST}


def test_a_confirmation_is_read_with_its_side_and_its_attempt(
    run_dir: RunDir, subunit_stream: Callable[..., bytes], sealed: Callable[..., bytes]
) -> None:
    first = sealed(subunit_stream(("m.A.one", "fail"), ("m.A.two", "success")), "01-tempest")
    run_dir.attempt("01-tempest", b"m.A.one\nm.A.two\n", first)
    second = sealed(subunit_stream(("m.A.one", "success")), "02-confirm-base")
    about = {"kind": "tempest", "side": "base", "confirms": "01-tempest"}
    run_dir.attempt("02-confirm-base", b"m.A.one\n", second, **about)
    _, found = evidence.load(run_dir.path).attempts
    assert (found.side, found.confirms) == ("base", "01-tempest")
    assert run_dir.judge().counts["fail"] == 1
