# SPDX-License-Identifier: Apache-2.0
"""Evidence with extreme values, lost attempts, and findings in the journal."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from unit.results.conftest import RunDir

from bsdgate.results.errors import EvidenceError
from bsdgate.results.external_evidence import load_files
from bsdgate.results.judge import judge_run
from bsdgate.results.model import Cause, Code, Result
from bsdgate.results.policy import GATE, POLICIES


@pytest.fixture
def clean(
    run_dir: RunDir, subunit_stream: Callable[..., bytes], sealed: Callable[..., bytes]
) -> Path:
    """Write an attempt with one test that succeeded."""
    stream = sealed(subunit_stream(("m.A.one", "success")), "01-tempest")
    return run_dir.attempt("01-tempest", b"m.A.one\n", stream, started=None, ended=None)


def edit(folder: Path, **changes: Any) -> None:
    head = json.loads((folder / "attempt.json").read_text())
    (folder / "attempt.json").write_text(json.dumps(head | changes))


def codes(run_dir: RunDir) -> set[Code]:
    return {reason.code for reason in run_dir.judge().reasons}


@pytest.mark.parametrize(
    "times",
    [
        {"started": "0001-01-01T00:00:00+14:00"},
        {"ended": "9999-12-31T23:59:59-14:00"},
        {"started": "0001-01-01T00:00:01+00:00", "ended": "9999-12-31T23:59:59+00:00"},
    ],
)
def test_a_time_out_of_range_is_ignored(
    run_dir: RunDir, clean: Path, times: dict[str, str]
) -> None:
    edit(clean, **times)
    assert run_dir.judge().result is Result.PASS


@pytest.mark.parametrize("content", ['{"reports": 1e999, "others": []}', "[" * 100_000, "{}"])
def test_a_runner_record_that_cannot_be_read_is_an_error(
    run_dir: RunDir, clean: Path, content: str
) -> None:
    (clean / "runner-record.json").write_text(content)
    edit(clean, runner_record="runner-record.json")
    assert Code.ATTEMPT_UNREADABLE in codes(run_dir)


def test_a_truncated_list_is_an_error_at_every_length(
    run_dir: RunDir, subunit_stream: Callable[..., bytes], sealed: Callable[..., bytes]
) -> None:
    stream = sealed(subunit_stream(("m.A.one", "success"), ("setUpClass (m.B)", "skip")), "01-t")
    folder = run_dir.attempt("01-t", b"m.A.one\nm.B.one\nm.B.two\n", stream)
    assert run_dir.judge().result is Result.PASS
    whole = (folder / "asked.txt").read_bytes()
    digests = json.loads((folder / "attempt.json").read_text())["sha256"]
    for place in range(len(whole)):
        (folder / "asked.txt").write_bytes(whole[:place])
        made_to_fit = {"asked.txt": hashlib.sha256(whole[:place]).hexdigest()}
        edit(folder, sha256=digests | made_to_fit)
        assert Code.TRUNCATED in codes(run_dir), whole[:place]


def begun(run_dir: RunDir, *names: str, end: str = "") -> None:
    lines = [{"step": "test", "event": "begin"}]
    lines += [{"step": "attempt", "event": "begin", "name": name} for name in names]
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    (run_dir.path / "journal.jsonl").write_text(text + end)


def test_an_attempt_that_is_only_in_the_journal_is_lost_evidence(
    run_dir: RunDir, clean: Path
) -> None:
    begun(run_dir, "01-tempest", end='{"step": "attem')
    assert run_dir.judge().result is Result.PASS
    begun(run_dir)
    assert codes(run_dir) == {Code.TRUNCATED}
    begun(run_dir, "01-tempest", "02-confirm-change")
    (reason,) = run_dir.judge().reasons
    assert (reason.code, reason.message) == (
        Code.EVIDENCE_LOST,
        "evidence/ has no attempt 02-confirm-change",
    )


def test_a_missing_journal_is_lost_evidence(run_dir: RunDir, clean: Path) -> None:
    (run_dir.path / "journal.jsonl").unlink()
    assert codes(run_dir) == {Code.EVIDENCE_LOST}


LEFT = '{"step": "left-behind", "event": "fail", "message": "the cloud left x (process 7)"}\n'


def test_the_policy_sets_the_level_of_left_behind_processes(run_dir: RunDir, clean: Path) -> None:
    begun(run_dir, "01-tempest", end=LEFT)
    results = {
        name: judge_run(run_dir.path, policy=policy).result for name, policy in POLICIES.items()
    }
    assert results == {
        "developer": Result.PASS,
        "check": Result.PASS,
        "gate": Result.FAIL,
        "nightly": Result.FAIL,
    }
    (reason,) = run_dir.judge().reasons
    assert (reason.code, reason.message) == (Code.LEFT_BEHIND, "the cloud left x (process 7)")


def of_versions(code: str, message: str = "15.1") -> str:
    line = {"step": "matrix", "event": "fail", "code": code, "message": message}
    return f"{json.dumps(line)}\n"


@pytest.mark.parametrize(
    ("code", "levels"),
    [
        ("end-of-life", ["note", "error", "error", "note"]),
        ("end-of-life-near", ["note"] * 4),
        ("not-in-matrix", ["note"] * 4),
    ],
)
def test_the_policy_sets_the_level_of_an_end_of_life(
    run_dir: RunDir, clean: Path, code: str, levels: list[str]
) -> None:
    begun(run_dir, "01-tempest", end=of_versions(code))
    for policy, level in zip(POLICIES.values(), levels, strict=True):
        verdict = judge_run(run_dir.path, policy=policy)
        found = [(one.level, one.message) for one in verdict.reasons if one.code == code]
        assert found == [(level, "15.1")], policy.name
        assert verdict.result is (Result.ERROR if level == "error" else Result.PASS), policy.name


def test_an_end_of_life_in_a_resumed_run_is_one_reason(run_dir: RunDir, clean: Path) -> None:
    begun(run_dir, "01-tempest", end=of_versions("end-of-life") * 2)
    assert [one.code for one in run_dir.judge().reasons] == [Code.END_OF_LIFE]


def test_an_end_of_life_is_not_the_cause_of_a_failure(
    run_dir: RunDir, subunit_stream: Callable[..., bytes], sealed: Callable[..., bytes]
) -> None:
    stream = sealed(subunit_stream(("m.A", "fail")), "01-tempest")
    run_dir.attempt("01-tempest", b"m.A\n", stream)
    before = judge_run(run_dir.path, policy=GATE)
    begun(run_dir, "01-tempest", end=of_versions("end-of-life"))
    after = judge_run(run_dir.path, policy=GATE)
    assert (before.result, after.result) == (Result.FAIL, Result.ERROR)
    assert [one.cause for one in after.dispositions] == [Cause.UNKNOWN]
    assert after.dispositions == before.dispositions


@pytest.mark.parametrize(
    "line",
    [
        "",
        '{"step": "matrix"}\n',
        of_versions("known-failure"),
        "[]\n",
        '{"event": "begin"}\n',
        '{"step": "attempt"}\n',
        '{"step": "left-behind"}\n',
    ],
)
def test_an_invalid_line_of_the_journal_is_an_error(
    run_dir: RunDir, clean: Path, line: str
) -> None:
    begun(run_dir, "01-tempest", end=line or "\0\n")
    assert codes(run_dir) == {Code.DAMAGED}


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "report.json"
    path.write_text('{"tasks": []}')
    return path


def bomb(reference: str) -> str:
    """Return a YAML task with nested aliases; one value expands to a billion."""
    listed = ["- &a0 [x, x, x, x, x, x, x, x, x, x]"]
    listed += [f"- &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    return "x:\n" + "\n".join(listed) + "\nsubtasks:\n" + reference


@pytest.mark.parametrize(
    "workload",
    [
        "- {scenario: {D.one: {}}, runner: {serial: {times: *a8}}}",
        "- {scenario: {D.one: {}}, hooks: *a8}",
        "- {scenario: {D.one: {}}, hooks: [*a8]}",
        "- {scenario: {D.one: {}}, hooks: [{action: {a: 1}, trigger: *a8}]}",
        "- {scenario: {D.one: {}}, hooks: [{action: {a: 1}, trigger: {event: *a8}}]}",
        "- *a8",
    ],
)
def test_a_task_with_nested_aliases_is_refused(tmp_path: Path, report: Path, workload: str) -> None:
    task = tmp_path / "task.yaml"
    task.write_text(bomb(workload))
    with pytest.raises(EvidenceError, match="task") as caught:
        load_files(rally=[report], rally_task=[task])
    assert len(caught.value.message) < 1000


def test_a_list_with_nested_aliases_is_refused(tmp_path: Path, report: Path) -> None:
    task = tmp_path / "task.yaml"
    bombs = [f"&a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    task.write_text(f"- [&a0 [x, x, x, x, x, x, x, x, x, x], {', '.join(bombs)}]")
    with pytest.raises(EvidenceError, match="is not a workload") as caught:
        load_files(rally=[report], rally_task=[task])
    assert len(caught.value.message) < 1000


def test_hooks_that_are_repeated_by_aliases_are_refused(tmp_path: Path, report: Path) -> None:
    hook = "{action: {a: 1}, trigger: {event: {at: [1]}}}"
    hooks = f"&h [&o {hook}{', *o' * 100}]"
    first = "- {scenario: {D.one: {}}, hooks: " + hooks + "}"
    task = tmp_path / "task.yaml"
    task.write_text(f"subtasks:\n{first}\n" + "- {scenario: {D.one: {}}, hooks: *h}\n" * 50)
    with pytest.raises(EvidenceError, match="more than 100 hooks"):
        load_files(rally=[report], rally_task=[task])


def test_a_list_of_workloads_with_too_many_values_is_an_error(run_dir: RunDir) -> None:
    run_dir.requires("rally")
    many = b"[" + b"{}," * 3_000_001 + b"{}]"
    run_dir.attempt("01-rally", many, b'{"tasks": []}', "rally")
    assert codes(run_dir) == {Code.ATTEMPT_UNREADABLE, Code.NOTHING_ASKED, Code.NOTHING_RAN}


def test_evidence_of_another_patchset_is_an_error(
    run_dir: RunDir, subunit_stream: Callable[..., bytes], sealed: Callable[..., bytes]
) -> None:
    run_dir.manifest |= {"change": "I8f4c", "patchset": "1"}
    run_dir.write_manifest()
    run_dir.attempt("01-t", b"m.A\n", sealed(subunit_stream(("m.A", "success")), "01-t"))
    assert run_dir.judge().result is Result.PASS
    run_dir.manifest["patchset"] = "2"
    run_dir.write_manifest()
    (reason, *_) = [one for one in run_dir.judge().reasons if one.code is Code.FOREIGN_EVIDENCE]
    assert "patchset is '1', not '2'" in reason.message


def test_a_base_that_the_change_altered_is_an_error(run_dir: RunDir, clean: Path) -> None:
    assert run_dir.judge().result is Result.PASS
    path = run_dir.path / "journal.jsonl"
    line = {"step": "base-altered", "event": "fail", "message": "x.pth was altered"}
    path.write_text(f"{path.read_text()}{json.dumps(line)}\n")
    verdict = run_dir.judge()
    assert verdict.result is Result.ERROR
    assert [each.message for each in verdict.reasons if each.code is Code.BASE_ALTERED] == [
        "x.pth was altered"
    ]


FOUND = {"step": "close", "event": "fail", "code": "foreign-altered", "message": "a net is gone"}
CHANGED = {**FOUND, "code": "foreign-changed"}
UNREMOVED = {**FOUND, "code": "left-behind"}
CLOSED = {"step": "close", "event": "end"}
DEPLOYED = {"step": "deploy", "event": "end"}


def closing(run_dir: RunDir, *lines: dict[str, str]) -> None:
    """Change the run to one against a standing cloud, and append lines to its journal."""
    run_dir.manifest["cloud"] = {"name": "theirs", "prefix": "mine", "accounts": None}
    run_dir.write_manifest()
    path = run_dir.path / "journal.jsonl"
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    path.write_text(f"{path.read_text()}{text}")


@pytest.mark.parametrize(
    ("lines", "policy", "result", "codes"),
    [
        ([CLOSED], "developer", Result.PASS, set()),
        ([FOUND, CLOSED], "developer", Result.FAIL, {Code.FOREIGN_ALTERED}),
        ([CHANGED, CLOSED], "nightly", Result.PASS, {Code.FOREIGN_CHANGED}),
        ([UNREMOVED, CLOSED], "developer", Result.PASS, {Code.LEFT_BEHIND}),
        ([UNREMOVED, CLOSED], "gate", Result.FAIL, {Code.LEFT_BEHIND}),
        ([], "developer", Result.ERROR, {Code.EVIDENCE_LOST}),
        ([CHANGED], "developer", Result.ERROR, {Code.EVIDENCE_LOST, Code.FOREIGN_CHANGED}),
        ([DEPLOYED, CLOSED], "developer", Result.PASS, set()),
        ([CLOSED, DEPLOYED], "developer", Result.ERROR, {Code.EVIDENCE_LOST}),
        ([CLOSED, FOUND], "developer", Result.ERROR, {Code.EVIDENCE_LOST, Code.FOREIGN_ALTERED}),
        ([{**FOUND, "code": "known-failure"}, CLOSED], "developer", Result.ERROR, {Code.DAMAGED}),
        ([{**FOUND, "code": "none"}, CLOSED], "developer", Result.ERROR, {Code.DAMAGED}),
    ],
    ids=range(12),
)
def test_findings_of_the_step_close_decide_the_result(
    run_dir: RunDir,
    clean: Path,
    lines: list[dict[str, str]],
    policy: str,
    result: Result,
    codes: set[Code],
) -> None:
    run_dir.manifest["policy"] = policy
    closing(run_dir, *lines)
    verdict = judge_run(run_dir.path, (), POLICIES[policy])
    found = {each.code for each in verdict.reasons} - {Code.NO_HISTORY}
    assert (verdict.result, found) == (result, codes)
