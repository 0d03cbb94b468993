# SPDX-License-Identifier: Apache-2.0
"""External evidence: files that bsdgate's harness did not record."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bsdgate.results.errors import EvidenceError
from bsdgate.results.external_evidence import load_files
from bsdgate.results.ids import ID_BOUND
from bsdgate.results.model import Code, Evidence, Level, Result, State
from bsdgate.results.parsers.rally import AskedWorkload
from bsdgate.results.policy import DEVELOPER, POLICIES
from bsdgate.results.verdict import judge

ROOT = Path(__file__).resolve().parents[3]
GOLDEN = ROOT / "tests" / "golden"
UUIDS = "7fff3fb3-91d8-4fd0-bd7d-0204f1f180ba", "6f8e4436-fc96-4282-8122-e41df57197a9"
IDS = (f"m.A.one[compute,id-{UUIDS[0]},network,smoke]", f"m.A.two[id-{UUIDS[1]}]")
TASK = ROOT / "rally_tasks" / "smoke.yaml"


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a file and returns its path."""

    def make(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return make


@pytest.fixture
def stream(write: Callable[..., Path], subunit_stream: Callable[..., bytes]) -> Callable[..., Path]:
    """Return a function that writes a subunit stream of (id, status) pairs."""
    return lambda *reports, name="a.subunit": write(name, subunit_stream(*reports))


@pytest.fixture
def listed(write: Callable[..., Path]) -> Callable[..., Path]:
    return lambda *ids: write("asked.txt", "".join(f"{each}\n" for each in ids))


GOOD = [(each, "success") for each in IDS]


def codes(found: Evidence) -> set[Code]:
    reasons = judge(found).reasons
    return {reason.code for reason in reasons if reason.level is Level.ERROR}


def result(found: Evidence) -> Result:
    return judge(found).result


def test_complete_evidence_passes(stream: Callable[..., Path], listed: Callable[..., Path]) -> None:
    found = load_files(listed(*IDS), subunit=[stream(*GOOD)])
    assert codes(found) == set()
    assert result(found) is Result.PASS
    (attempt,) = found.attempts
    assert (attempt.state, attempt.exit_status) == (State.FOUND, None)


def test_a_failed_test_fails_the_verdict(
    stream: Callable[..., Path], listed: Callable[..., Path]
) -> None:
    assert result(load_files(listed(*IDS), subunit=[stream(GOOD[0], (IDS[1], "fail"))])) is (
        Result.FAIL
    )


def test_several_files_are_judged_together(
    stream: Callable[..., Path], listed: Callable[..., Path]
) -> None:
    parts = [stream(each, name=f"{number}.subunit") for number, each in enumerate(GOOD)]
    assert result(load_files(listed(*IDS), subunit=parts)) is Result.PASS
    assert codes(load_files(listed(*IDS), subunit=parts[:1])) == {Code.LOST_TEST}


def test_a_test_in_two_files_is_duplicated(
    stream: Callable[..., Path], listed: Callable[..., Path]
) -> None:
    files = [stream(*GOOD), stream(GOOD[0], name="b.subunit")]
    assert codes(load_files(listed(*IDS), subunit=files)) == {Code.DUPLICATED}


def test_a_test_in_files_of_two_kinds_is_duplicated(
    stream: Callable[..., Path], listed: Callable[..., Path], write: Callable[..., Path]
) -> None:
    report = write(
        "a.xml", f'<testsuites><testsuite><testcase classname="m.A" name="{IDS[0][4:]}"/>'
        "</testsuite></testsuites>"
    )  # fmt: skip
    both = load_files(listed(*IDS), subunit=[stream(*GOOD)], junit=[report])
    assert codes(both) == {Code.DUPLICATED}
    one_each = load_files(listed(*IDS), subunit=[stream(GOOD[1])], junit=[report])
    assert result(one_each) is Result.PASS


def test_a_list_without_attributes_matches_ids_with_attributes(
    stream: Callable[..., Path], listed: Callable[..., Path]
) -> None:
    bare = listed("m.A.one", "m.A.two")
    assert result(load_files(bare, subunit=[stream(*GOOD)])) is Result.PASS
    assert codes(load_files(listed("m.A.one", IDS[1]), subunit=[stream(*GOOD)])) == {
        Code.LOST_TEST,
        Code.UNASKED,
    }


def test_parameters_are_part_of_an_id_in_a_list_without_attributes(
    stream: Callable[..., Path], listed: Callable[..., Path]
) -> None:
    reports = [(f"m.A.one[id-{UUIDS[0]}]({each})", "success") for each in "pq"]
    found = load_files(listed("m.A.one(p)", "m.A.one(q)"), subunit=[stream(*reports)])
    assert result(found) is Result.PASS


def test_without_a_list_the_result_is_an_error_with_counts_of_tests(
    stream: Callable[..., Path],
) -> None:
    found = load_files(subunit=[stream(*GOOD, ("setUpClass (m.B)", "skip"), ("m.C.one", "fail"))])
    verdict = judge(found)
    assert codes(found) == {Code.NO_LIST}
    assert verdict.result is Result.ERROR
    assert verdict.counts == {**verdict.counts, "asked": 3, "success": 2, "fail": 1}


def test_the_policy_sets_the_level_of_a_missing_list(stream: Callable[..., Path]) -> None:
    found = load_files(subunit=[stream(*GOOD)])
    for policy in POLICIES.values():
        assert judge(found, policy=policy).result is Result.ERROR
    for level, expected in ((Level.NOTE, Result.PASS), (Level.FAIL, Result.FAIL)):
        assert judge(found, policy=replace(DEVELOPER, unlisted=level)).result is expected
    lost = load_files(subunit=[stream(GOOD[0], (IDS[1], "inprogress"))])
    assert judge(lost, policy=replace(DEVELOPER, unlisted=Level.NOTE)).result is Result.ERROR


@pytest.mark.parametrize("name", ["subunit/clean/stream.subunit", "junit/pytest/stream.xml"])
@pytest.mark.parametrize("content", ["cut", "empty"])
def test_a_truncated_or_empty_file_is_an_error(
    write: Callable[..., Path], name: str, content: str
) -> None:
    whole = (GOLDEN / name).read_bytes()
    kind = name.partition("/")[0]
    asked = (GOLDEN / name).with_name("asked.txt")
    assert codes(load_files(asked, **{kind: [GOLDEN / name]})) == set()
    file = write("broken", whole[: len(whole) // 2] if content == "cut" else b"")
    found = codes(load_files(asked, **{kind: [file]}))
    assert Code.LOST_TEST in found
    assert (Code.EMPTY_STREAM in found) is (content == "empty")


def test_a_stream_cut_after_the_last_test_passes_with_a_note(
    stream: Callable[..., Path], listed: Callable[..., Path]
) -> None:
    behind = [("tearDownClass (m.A)", "fail"), ("process-returncode.1", "fail")]
    asked = listed(*IDS)
    assert result(load_files(asked, subunit=[stream(*GOOD, *behind)])) is Result.ERROR
    cut = judge(load_files(asked, subunit=[stream(*GOOD, name="cut.subunit")]))
    assert cut.result is Result.PASS
    (reason,) = (one for one in cut.reasons if one.code is not Code.UNDATED)
    assert (reason.level, reason.code) == (Level.NOTE, Code.NO_SEAL)
    assert "cut.subunit" in reason.message


def test_an_error_has_the_name_of_its_file(
    write: Callable[..., Path], listed: Callable[..., Path]
) -> None:
    found = load_files(listed(*IDS), subunit=[write("worker-3.subunit", b"")])
    (reason,) = (
        reason for reason in judge(found).reasons if reason.code is Code.EMPTY_STREAM
    )  # fmt: skip
    assert "worker-3.subunit" in reason.message


def test_a_list_without_reports_has_lost_tests(listed: Callable[..., Path]) -> None:
    assert Code.LOST_TEST in codes(load_files(listed(*IDS)))


def test_without_files_there_is_no_evidence() -> None:
    assert codes(load_files()) == {Code.NO_EVIDENCE}


def test_the_same_files_have_the_same_run_id(
    stream: Callable[..., Path], listed: Callable[..., Path]
) -> None:
    files = [stream(*GOOD), stream(GOOD[0], name="b.subunit")]
    asked = listed(*IDS)
    os.utime(asked, (2e9, 2e9))
    first, second = (load_files(asked, subunit=order) for order in (files, files[::-1]))
    assert first.run == second.run
    assert first.run.created.timestamp() == 2e9
    assert judge(first) == judge(second)
    assert load_files(asked, subunit=files[:1]).run.run_id != first.run.run_id


# Rally -------------------------------------------------------------------------------------

REPORT = GOLDEN / "rally" / "dummies" / "stream.json"
ASKED = GOLDEN / "rally" / "dummies" / "asked.json"


def asked_of(found: Evidence) -> tuple[str, ...]:
    (attempt,) = found.attempts
    return attempt.asked


def test_a_rally_report_is_judged_by_its_task() -> None:
    task = GOLDEN / "projects" / "rally" / "task.yaml"
    by_task, by_list = (load_files(rally=[REPORT], rally_task=[each]) for each in (task, ASKED))
    assert judge(by_task) == replace(judge(by_list), run=by_task.run)
    assert asked_of(by_task) == asked_of(by_list)


def test_a_rally_report_without_a_task_has_no_list() -> None:
    assert Code.NO_LIST in codes(load_files(rally=[REPORT]))


WHEN = {"name": "event", "args": {"unit": "time", "at": [0, 9]}}
HOOK = {"name": "sys_call", "args": "true", "trigger": WHEN}


@pytest.mark.parametrize(
    ("task", "asked"),
    [
        (
            {"D.one": [{"runner": {"type": "constant", "times": 3}}, {}]},
            {"D.one": AskedWorkload(3, ()), "D.one#2": AskedWorkload(1, ())},
        ),
        (
            {"D.one": {"runner": {"type": "constant_for_duration", "duration": 3}}},
            {"D.one": AskedWorkload(None, ())},
        ),
        (
            {"D.one": [{"hooks": [HOOK]}]},
            {"D.one": AskedWorkload(1, (("sys_call", "event", 2),))},
        ),
        (
            {
                "version": 2,
                "subtasks": [
                    {"scenario": {"D.one": {}}, "runner": {"rps": {"times": 2, "rps": 1}}},
                    {"workloads": [{"scenario": {"D.two": {}}}, {"scenario": {"D.one": {}}}]},
                ],
            },
            {
                "D.one": AskedWorkload(2, ()),
                "D.two": AskedWorkload(1, ()),
                "D.one#2": AskedWorkload(1, ()),
            },
        ),
    ],
)
def test_tasks_of_both_versions_are_read(
    task: dict[str, Any],
    asked: dict[str, AskedWorkload],
    write: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: dict[str, AskedWorkload] = {}

    def parse(_file: Any, asked: dict[str, AskedWorkload]) -> tuple[()]:
        seen.update(asked)
        return ()

    monkeypatch.setattr("bsdgate.results.external_evidence.rally_parser.parse", parse)
    path = write("task.json", json.dumps(task))
    assert asked_of(load_files(rally=[REPORT], rally_task=[path])) == tuple(asked)
    assert seen == asked


def test_the_task_of_bsdgate_is_read() -> None:
    found = load_files(rally=[REPORT], rally_task=[TASK])
    assert "Authenticate.keystone" in asked_of(found)
    assert Code.LOST_TEST in codes(found)


@pytest.mark.parametrize(
    "content",
    [
        "{% set n = 3 %}\n{{ n }}: 1",
        "",
        "5",
        "{version: 2, subtasks: [{}]}",
        "{version: 2, subtasks: [{scenario: {}, runner: {serial: {}}}]}",
        "{a: [5]}",
        "{a: {runner: {type: serial, times: -1}}}",
        "[" * 100_000,
        b"\xff",
    ],
)
def test_other_content_than_a_task_is_an_error(
    write: Callable[..., Path], content: str | bytes
) -> None:
    with pytest.raises(EvidenceError, match="task.yaml") as caught:
        load_files(rally=[REPORT], rally_task=[write("task.yaml", content)])
    assert "rally task start" in (caught.value.hint or "")


def test_a_task_with_nested_aliases_has_a_limited_number_of_workloads(
    write: Callable[..., Path],
) -> None:
    many = ", ".join("*w" for _ in range(500))
    text = (
        "x: &w {scenario: {D.one: {}}}\n"
        f"s: &s {{workloads: [{many}]}}\nsubtasks: [{', '.join('*s' for _ in range(500))}]\n"
    )
    found = load_files(rally=[REPORT], rally_task=[write("task.yaml", text)])
    assert len(asked_of(found)) == 10_000


def test_more_tasks_than_reports_are_an_error() -> None:
    with pytest.raises(EvidenceError, match="2 Rally tasks for 1"):
        load_files(rally=[REPORT], rally_task=[ASKED, ASKED])


VERIFIED = GOLDEN / "verification" / "tempest"


def without_failures() -> tuple[dict[str, dict[str, dict[str, Any]]], list[str]]:
    """Return a verification of Rally and its list, without the failed tests."""
    report = json.loads((VERIFIED / "stream.json").read_text())
    ((uuid, head),) = report["verifications"].items()
    kept = {
        test: about
        for test, about in report["tests"].items()
        if about["by_verification"][uuid]["status"] != "fail"
    }
    head |= {"failures": 0, "tests_count": len(kept), "status": "finished"}
    return report | {"tests": kept}, list(kept)


def test_a_verification_is_judged_by_the_list_of_tests() -> None:
    asked = VERIFIED / "asked.txt"
    found = load_files(asked, rally=[VERIFIED / "stream.json"])
    verdict = judge(found)
    assert codes(found) == set()
    assert verdict.result is Result.FAIL
    assert verdict.counts == {**verdict.counts, "asked": 7, "success": 2, "fail": 2, "skip": 3}
    (attempt,) = found.attempts
    assert attempt.kind == "tempest"


def test_a_verification_passes_with_a_note_about_failures_that_it_never_contains(
    write: Callable[..., Path], listed: Callable[..., Path]
) -> None:
    report, ids = without_failures()
    found = load_files(listed(*ids), rally=[write("v.json", json.dumps(report))])
    verdict = judge(found)
    assert verdict.result is Result.PASS
    assert Code.NOT_REPORTED in {reason.code for reason in verdict.reasons}
    assert codes(load_files(listed(*ids, "m.A.one"), rally=[write("v.json", json.dumps(report))]))


@pytest.mark.parametrize("order", [False, True])
def test_a_verification_is_recognised_by_its_content(
    write: Callable[..., Path], order: bool
) -> None:
    report = json.loads((VERIFIED / "stream.json").read_text())
    file = write("v.json", json.dumps(report, sort_keys=order))
    both = load_files(VERIFIED / "asked.txt", rally=[REPORT, file], rally_task=[ASKED])
    assert [(one.name, len(one.reports)) for one in both.attempts] == [("tests", 7), ("rally", 6)]
    assert codes(both) == codes(load_files(rally=[REPORT], rally_task=[ASKED]))
    with pytest.raises(EvidenceError, match="1 Rally tasks for 0") as caught:
        load_files(rally=[file], rally_task=[VERIFIED / "asked.txt"])
    assert "--asked" in (caught.value.hint or "")


def test_a_verification_is_judged_together_with_other_reports(
    stream: Callable[..., Path], listed: Callable[..., Path], write: Callable[..., Path]
) -> None:
    report, ids = without_failures()
    file = write("v.json", json.dumps(report))
    assert result(load_files(listed(*ids, *IDS), rally=[file], subunit=[stream(*GOOD)])) is (
        Result.PASS
    )
    twice = load_files(listed(*ids), rally=[file], subunit=[stream((ids[0], "success"))])
    assert codes(twice) == {Code.DUPLICATED}


def test_a_truncated_verification_is_recognised(write: Callable[..., Path]) -> None:
    whole = (VERIFIED / "stream.json").read_bytes()
    file = write("v.json", whole[: len(whole) // 2])
    found = codes(load_files(VERIFIED / "asked.txt", rally=[file]))
    assert found == {Code.TRUNCATED, Code.LOST_TEST, Code.NOTHING_RAN}


def test_a_list_of_tests_does_not_replace_the_task_of_a_rally_report(
    listed: Callable[..., Path],
) -> None:
    names = list(json.loads(ASKED.read_text()))
    found = load_files(listed(*(name["name"] for name in names)), rally=[REPORT])
    assert Code.NO_LIST in codes(found)


# Paths that are not files -------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "link"])
@pytest.mark.parametrize("role", ["asked", "subunit", "junit", "rally"])
def test_a_path_that_is_not_a_regular_file_is_an_error(
    tmp_path: Path, kind: str, role: str
) -> None:
    path = tmp_path / "it"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to("/etc/passwd")
    files: dict[str, Any] = {role: path if role == "asked" else [path]}
    with pytest.raises(EvidenceError, match="/it: ") as caught:
        load_files(**files)
    assert caught.value.exit_code == 3
    assert caught.value.hint


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("missing", "an existing file"), ("link", "not a symbolic link"), ("pipe", "regular file")],
)
def test_the_hint_depends_on_the_kind_of_the_path(tmp_path: Path, kind: str, expected: str) -> None:
    path = tmp_path / "it"
    if kind == "link":
        path.symlink_to("/etc/passwd")
    elif kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(EvidenceError) as caught:
        load_files(path)
    assert expected in (caught.value.hint or "")


@pytest.mark.parametrize("line", [b"\xff", b"x" * ID_BOUND])
def test_an_invalid_list_is_an_error_with_the_number_of_the_line(
    write: Callable[..., Path], line: bytes
) -> None:
    with pytest.raises(EvidenceError, match=r"asked\.txt: line 3: ") as caught:
        load_files(write("asked.txt", b"m.A.one\n\n" + line + b"\n"))
    assert "one test id per line" in (caught.value.hint or "")
    assert caught.value.hint
    assert "link" not in caught.value.hint
