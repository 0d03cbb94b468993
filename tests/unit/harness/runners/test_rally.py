# SPDX-License-Identifier: Apache-2.0
"""bsdgate.harness.runners.rally."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from bsdgate.harness import folders, process
from bsdgate.harness.errors import ConfigurationError, UsageError
from bsdgate.harness.runners import rally
from bsdgate.harness.suites import model
from bsdgate.results.codes import Code
from bsdgate.results.parsers.rally import AskedWorkload, read_asked
from bsdgate.results.problems import Problem

Write = Callable[..., Path]


def subtask(scenario: str = "Dummy.dummy", **changes: Any) -> dict[str, Any]:
    load = {"times": 3, "concurrency": 2}
    return {"title": "T", "scenario": {scenario: {}}, "runner": {"constant": load}, **changes}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_task(*subtasks: dict[str, Any], **changes: Any) -> Path:
        path = tmp_path / "task.yaml"
        content = {"version": 2, "title": "T", "subtasks": list(subtasks), **changes}
        path.write_text(yaml.safe_dump(content))
        return path

    return write_task


@pytest.fixture
def workspace(tmp_path: Path) -> rally.RallyWorkspace:
    python = Path(sys.executable)
    return rally.RallyWorkspace(tmp_path / "rally", python, tmp_path / "clouds.yaml", tmp_path)


def test_asked_json_has_the_workloads_in_the_order_of_the_task(write: Write) -> None:
    serial = subtask("Nova.boot", runner={"serial": {"times": 7}})
    task = rally.read(write(serial, subtask("Dummy.dummy")))
    asked = rally.asked(task.subtasks)
    assert read_asked(asked) == {
        "Nova.boot": AskedWorkload(7, ()),
        "Dummy.dummy": AskedWorkload(3, ()),
    }
    assert [entry["position"] for entry in json.loads(asked)] == [0, 1]


HOOK = {
    "description": "restart nova",
    "action": {"sys_call": "true"},
    "trigger": {"event": {"unit": "iteration", "at": [1, 3]}},
}


def test_asked_json_has_the_hooks(write: Write) -> None:
    asked = rally.asked(rally.read(write(subtask(hooks=[HOOK]))).subtasks)
    assert read_asked(asked) == {"Dummy.dummy": AskedWorkload(3, (("sys_call", "event", 2),))}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"description": ""}, "at least 1 character"),
        ({"action": {}}, "at least 1 item"),
        ({"trigger": {"event": {}, "periodic": {}}}, "at most 1 item"),
        ({"trigger": {"periodic": {"unit": "time", "step": 1}}}, "periodic has no end"),
        ({"when": "now"}, "unknown key subtasks.0.hooks.0.when"),
    ],
)
def test_a_hook_that_rally_cannot_report_is_refused(
    write: Write, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        rally.read(write(subtask(hooks=[HOOK | changes])))
    assert said in str(caught.value)


def test_a_resumed_run_has_the_remaining_workloads(write: Write) -> None:
    task = rally.read(write(subtask("A.a"), subtask("B.b"), subtask("C.c")))
    assert list(read_asked(rally.asked(task.choose(["C.c", "A.a"])))) == ["C.c", "A.a"]


@pytest.mark.parametrize(
    ("runner", "said"),
    [
        ({"constant": {"times": 0, "concurrency": 1}}, "times: 0:"),
        ({"constant": {"times": "many"}}, "'many': Input should be a valid integer"),
        ({"constant": {"times": True}}, "True: Input should be a valid integer"),
        ({"constant_for_duration": {"duration": 3}}, "the key times is missing"),
        ({"constant": {"times": 1}, "serial": {"times": 1}}, "at most 1 item"),
        ({}, "at least 1 item"),
    ],
)
def test_iterations_that_cannot_be_counted_are_refused(
    write: Write, runner: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        rally.read(write(subtask(), subtask("B.b", runner=runner)))
    assert said in str(caught.value)
    assert "task.yaml:" in caught.value.problems[0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"subtasks": []}, "subtasks"),
        ({"version": 1}, "version"),
        ({"subtasks": [subtask(scenario="A.a"), subtask("A.a")]}, "more than one subtask runs A.a"),
        ({"subtasks": [subtask(slas={})]}, "unknown key subtasks.0.slas; did you mean sla?"),
    ],
)
def test_other_mistakes_in_a_task_are_refused(
    write: Write, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        rally.read(write(**changes))
    assert said in str(caught.value)


def test_a_missing_task_is_reported() -> None:
    with pytest.raises(ConfigurationError, match=r"rally_tasks/none\.yaml"):
        rally.load("none.yaml")


def test_the_suite_runs_a_workload_in_each_area() -> None:
    suite = model.load("rally-smoke")
    assert suite.task is not None
    task = rally.load(suite.task)
    counts = model.select(suite, task.names).counts()
    assert counts == dict.fromkeys(["baremetal", "compute", "identity", "network"], (1, 0))
    assert [each.sla for each in task.subtasks] == [{"failure_rate": {"max": 0}}] * 4


def test_a_selection_of_nothing_and_a_concurrency_are_refused_beforehand() -> None:
    suite = model.load("rally-smoke")
    assert rally.check(suite, "Nova", None) == 1
    with pytest.raises(UsageError, match="selects no test"):
        rally.check(suite, "nothing", None)
    with pytest.raises(UsageError, match="--concurrency is only for Tempest"):
        rally.check(suite, None, 3)


def test_messages_are_read_with_any_division_of_the_output() -> None:
    events = [
        {"id": "A.a", "status": "inprogress"},
        {"id": "A.a", "status": "refused", "text": "é"},
    ]
    output = b"".join(json.dumps(event).encode() + b"\n" for event in events)
    for cut in range(len(output)):
        reader = rally.MessageReader()
        found = reader.feed(output[:cut]) + reader.feed(output[cut:])
        assert found == [
            rally.RallyMessage("A.a", "inprogress"),
            rally.RallyMessage("A.a", "refused", "é"),
        ]


def ended(status: int, log: Path) -> process.Running:
    argv = ["/bin/sh", "-c", f"echo last words; exit {status}"]
    with process.start(argv, log=log) as running:
        running.wait()
    return running


@pytest.mark.parametrize("status", [0, 2])
def test_a_process_that_ran_all_workloads_has_no_problem(status: int, tmp_path: Path) -> None:
    assert rally.MessageReader().problems(ended(status, tmp_path / "log")) == []


def test_a_process_that_failed_is_a_problem_with_its_last_lines(tmp_path: Path) -> None:
    (problem,) = rally.MessageReader().problems(ended(1, tmp_path / "log"))
    assert problem.code is Code.RUNNER_FAILED
    assert "ended with status 1" in problem.text
    assert "last words" in problem.text


def test_a_refused_workload_is_a_problem_with_its_reason(tmp_path: Path) -> None:
    reader = rally.MessageReader()
    reader.feed(b'{"id": "A.a", "status": "refused", "text": "no flavor"}\n')
    assert reader.problems(ended(1, tmp_path / "log")) == [
        Problem(Code.RUNNER_REFUSED, "Rally refused A.a: no flavor")
    ]


def test_all_files_of_rally_are_in_a_private_directory(workspace: rally.RallyWorkspace) -> None:
    folders.make_marked(workspace.path)
    (workspace.path / "report.json").write_text("an earlier run's")
    workspace.create()
    assert workspace.report() == b""
    assert workspace.path.stat().st_mode & 0o777 == 0o700
    assert f"sqlite:///{workspace.path}/rally.sqlite" in (workspace.path / "rally.conf").read_text()


def test_rally_gets_the_workloads_of_the_task(
    workspace: rally.RallyWorkspace, write: Write
) -> None:
    given = [
        subtask("A.a", contexts={"users": {}}, hooks=[HOOK]),
        subtask("B.b", sla={"failure_rate": {}}),
    ]
    workspace.create()
    # The worker fails early: there is no such cloud.
    with workspace.running(rally.read(write(*given)).subtasks, "none", "run/02-rally"):
        assert json.loads((workspace.path / "task.json").read_text()) == given
