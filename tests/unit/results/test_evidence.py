# SPDX-License-Identifier: Apache-2.0
"""Evidence that was lost, swapped or broken after it was recorded."""

import json
import shutil

import pytest

from bsdgate.results import evidence
from bsdgate.results.errors import EvidenceError
from bsdgate.results.model import Code, Level, Result


@pytest.fixture
def clean(run_dir):
    """A run that passes; the folder of its one attempt."""
    folder = run_dir.recorded("subunit", "clean")
    assert run_dir.judge().result is Result.PASS
    return folder


def codes(run_dir):
    verdict = run_dir.judge()
    assert verdict.result is Result.ERROR
    return {reason.code for reason in verdict.reasons if reason.level is Level.ERROR}


def edit(folder, **fields):
    head = json.loads((folder / "attempt.json").read_text())
    (folder / "attempt.json").write_text(json.dumps(head | fields))


@pytest.mark.parametrize("name", ["asked.txt", "stream.subunit"])
def test_a_changed_file_is_noticed(run_dir, clean, name):
    file = clean / name
    content = file.read_bytes()
    file.write_bytes(content.replace(b"test_one", b"test_1ne", 1))
    assert Code.DIGEST_MISMATCH in codes(run_dir)


@pytest.mark.parametrize("name", ["asked.txt", "stream.subunit"])
def test_a_lost_file_is_noticed(run_dir, clean, name):
    (clean / name).unlink()
    assert Code.EVIDENCE_LOST in codes(run_dir)


def test_a_missing_digest_is_noticed(run_dir, clean):
    edit(clean, sha256={"asked.txt": None, "stream.subunit": None})
    assert codes(run_dir) == {Code.DIGEST_MISMATCH}


@pytest.mark.parametrize("change", [{"run_id": "0" * 32}, {"name": "02-tempest"}])
def test_evidence_of_another_run_or_attempt_is_refused(run_dir, clean, change):
    edit(clean, **change)
    assert Code.FOREIGN_EVIDENCE in codes(run_dir)


def test_an_attempt_under_another_name_is_refused_where_no_seal_names_it(run_dir):
    report = b'<testsuites><testsuite><testcase classname="a" name="b"/></testsuite></testsuites>'
    run_dir.owes("hostchecks")
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
    ],
)
def test_what_the_attempt_says_against_itself(run_dir, clean, change, code):
    edit(clean, **change)
    assert codes(run_dir) == {code}


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"state": "fine"},
        {"kind": "other"},
        {"format": "csv"},
        {"exit_status": "0"},
        {"exit_status": False},
        {"asked": "../../manifest.json"},
        {"stream": "/etc/passwd"},
        {"stream": ".."},
        {"problems": None},
    ],
)
def test_an_attempt_that_cannot_be_read_is_an_error(run_dir, clean, change):
    edit(clean, **change)
    assert Code.ATTEMPT_UNREADABLE in codes(run_dir)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema": 1}', "{" * 50_000])
def test_a_broken_attempt_is_an_error(run_dir, clean, content):
    (clean / "attempt.json").write_text(content)
    assert Code.ATTEMPT_UNREADABLE in codes(run_dir)


@pytest.mark.parametrize("name", ["asked.txt", "stream.subunit", "attempt.json"])
def test_a_link_is_not_followed(run_dir, clean, name, tmp_path):
    (clean / name).rename(tmp_path / name)
    (clean / name).symlink_to(tmp_path / name)
    assert Code.ATTEMPT_UNREADABLE in codes(run_dir)


def test_a_linked_attempt_is_not_followed(run_dir, clean, tmp_path):
    clean.rename(tmp_path / clean.name)
    clean.symlink_to(tmp_path / clean.name)
    assert Code.ATTEMPT_UNREADABLE in codes(run_dir)


def test_a_strange_file_among_the_attempts_is_noticed(run_dir, clean):
    (clean.parent / "core").write_text("")
    assert codes(run_dir) == {Code.ATTEMPT_UNREADABLE}


def test_ids_that_are_not_utf8_are_an_error(run_dir, clean, subunit_stream):
    run_dir.attempt("02-tempest", b"\xff\n", subunit_stream(("a", "success")))
    assert Code.ATTEMPT_UNREADABLE in codes(run_dir)


def test_deleted_results_are_an_error(run_dir, clean):
    shutil.rmtree(clean.parent)
    assert Code.NO_EVIDENCE in codes(run_dir)


def test_a_deleted_kind_of_evidence_is_an_error(run_dir, clean):
    run_dir.owes("tempest", "hostchecks")
    assert codes(run_dir) == {Code.EVIDENCE_LOST}


def test_a_deleted_attempt_leaves_a_gap(run_dir, clean):
    run_dir.recorded("junit", "pytest", name="03-hostchecks")
    run_dir.owes("tempest", "hostchecks")
    assert codes(run_dir) == {Code.EVIDENCE_LOST}


@pytest.mark.parametrize("owed", [[], ["other"], None, "tempest"])
def test_a_run_that_owes_nothing_proves_nothing(run_dir, clean, owed):
    run_dir.manifest["evidence"] = owed
    run_dir.write_manifest()
    assert codes(run_dir) == {Code.NO_EVIDENCE}


def test_a_document_has_a_bound(run_dir, monkeypatch):
    monkeypatch.setattr("bsdgate.results.attempts.DOCUMENT_BOUND", 100)
    monkeypatch.setattr(
        "bsdgate.results.attempts._FORMATS",
        {
            name: type(form)(form.asked_ids, form.parse, 100)
            for name, form in evidence_formats().items()
        },
    )
    run_dir.recorded("junit", "pytest")
    assert Code.TOO_LARGE in codes(run_dir)


def evidence_formats():
    from bsdgate.results import attempts

    return attempts._FORMATS


@pytest.mark.parametrize(
    "content", [None, "", "{", "[]", '{"schema": 2, "run_id": "1"}', '{"schema": 1, "run_id": "1"}']
)
def test_without_a_manifest_there_is_no_run(tmp_path, content):
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(EvidenceError, match="no manifest of a run") as caught:
        evidence.load(tmp_path)
    assert caught.value.exit_code == 3
    assert caught.value.hint


def test_the_run_is_told_with_what_it_was_made_of(run_dir, clean):
    run = evidence.load(run_dir.path).run
    assert (run.profile, run.suite, run.release, run.selection) == (
        "embedded",
        "smoke",
        "2026.2",
        "",
    )
    assert run.sources == ("keystone 30.0.0 sha256:12",)
