# SPDX-License-Identifier: Apache-2.0
import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from bsdgate.results.model import Case, Code, Outcome, Reason, Timing
from bsdgate.results.parsers.documents import PROBLEMS_BOUND
from bsdgate.results.parsers.rally import ACTIONS_BOUND, AskedWorkload, parse, read_asked

RECORDED = Path(__file__).resolve().parents[3] / "golden" / "rally" / "dummies" / "stream.json"


@pytest.fixture
def report() -> dict[str, Any]:
    """Return a recorded workload with three iterations that succeeded."""
    whole: dict[str, Any] = json.loads(RECORDED.read_text())
    (task,) = whole["tasks"]
    del task["subtasks"][1:], task["subtasks"][0]["workloads"][1:]
    return whole


def workload(report: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = report["tasks"][0]["subtasks"][0]["workloads"][0]
    return found


def read(
    report: bytes | dict[str, Any], asked: int | None = 3
) -> tuple[list[tuple[str, Outcome]], list[Code]]:
    content = report if isinstance(report, bytes) else json.dumps(report).encode()
    found = list(parse(BytesIO(content), {"Dummy.dummy": AskedWorkload(asked)}))
    return (
        [(item.id, item.outcome) for item in found if isinstance(item, Case)],
        [item.code for item in found if isinstance(item, Reason)],
    )


GOOD = [("Dummy.dummy", Outcome.SUCCESS)]
BAD = [("Dummy.dummy", Outcome.FAIL)]


def test_all_asked_iterations_without_an_error_are_a_success(report: dict[str, Any]) -> None:
    assert read(report) == (GOOD, [])


@pytest.mark.parametrize("left", [0, 1, 2])
def test_fewer_iterations_than_asked_are_an_error(report: dict[str, Any], left: int) -> None:
    load = workload(report)
    del load["data"][left:]
    load["total_iteration_count"] = left
    assert read(report) == ([], [Code.ITERATIONS])


def test_more_iterations_than_asked_are_an_error(report: dict[str, Any]) -> None:
    assert read(report, asked=2) == ([], [Code.ITERATIONS])


def test_a_wrong_iteration_count_is_an_error(report: dict[str, Any]) -> None:
    workload(report)["total_iteration_count"] = 5
    assert read(report) == ([], [Code.ITERATIONS])


def test_a_failed_iteration_fails_the_workload_even_if_the_sla_allows_it(
    report: dict[str, Any],
) -> None:
    load = workload(report)
    load["data"][1]["error"] = ["ValueError", "5", "Traceback\nValueError: 5\n"]
    load["failed_iteration_count"] = 1
    assert load["pass_sla"] is True
    assert read(report) == (BAD, [])


def test_a_failure_is_reported_beside_lost_iterations(report: dict[str, Any]) -> None:
    load = workload(report)
    load["data"][1]["error"] = ["ValueError", "5", "Traceback\nValueError: 5\n"]
    del load["data"][2:]
    assert read(report) == (BAD, [Code.ITERATIONS])


@pytest.mark.parametrize("harm", ["cleanup", "hook"])
def test_a_failed_cleanup_or_hook_fails_the_workload(report: dict[str, Any], harm: str) -> None:
    load = workload(report)
    if harm == "cleanup":
        phase = {"started_at": 1.0, "finished_at": 2.0, "atomic_actions": [], "error": None}
        failed = phase | {"error": ["ServerFault", "500", "Traceback"]}
        context = {"plugin_name": "users@openstack", "setup": phase, "cleanup": phase}
        load["contexts_results"] = [context, context | {"cleanup": failed}]
        reason = "cleanup of users@openstack failed: 500"
    else:
        load["hooks"] = [ran(EVENT, 1)]
        load["hooks"][0]["results"].append({"status": "failed"})
        reason = "a hook ended with the status 'failed'"
    (case,) = parse(BytesIO(json.dumps(report).encode()), {"Dummy.dummy": AskedWorkload(3)})
    assert isinstance(case, Case)
    assert (case.outcome, case.reason) == (Outcome.FAIL, reason)


@pytest.mark.parametrize("field", ["criterion", "whole"])
def test_a_broken_sla_fails_the_workload(report: dict[str, Any], field: str) -> None:
    load = workload(report)
    if field == "criterion":
        load["sla_results"]["sla"][0]["success"] = False
    else:
        load["pass_sla"] = False
    assert read(report) == (BAD, [])


def test_a_runner_with_a_duration_needs_one_iteration(report: dict[str, Any]) -> None:
    assert read(report, asked=None) == (GOOD, [])
    load = workload(report)
    load["data"], load["total_iteration_count"] = [], 0
    assert read(report, asked=None) == ([], [Code.ITERATIONS])


def test_an_unfinished_task_is_an_error(report: dict[str, Any]) -> None:
    report["tasks"][0]["status"] = "aborted"
    assert read(report) == (GOOD, [Code.TRUNCATED])


def test_a_truncated_report_is_an_error(report: dict[str, Any]) -> None:
    content = json.dumps(report).encode()
    assert read(b"") == ([], [Code.EMPTY_STREAM])
    for place in range(1, len(content), 97):
        assert read(content[:place]) == ([], [Code.TRUNCATED])


@pytest.mark.parametrize(
    "content",
    [
        b"[]",
        b"{}",
        b'{"tasks": 5}',
        b'{"tasks": [{"status": "finished"}]}',
        b'{"tasks": [], "tasks": []}',
        b'{"a": NaN}',
        b"\xff",
    ],
)
def test_other_content_than_a_report_is_an_error(content: bytes) -> None:
    assert read(content) == ([], [Code.DAMAGED])


def asked_hook(trigger: str, **when: Any) -> dict[str, Any]:
    return {"description": "d", "action": {"sys_call": "true"}, "trigger": {trigger: when}}


EVENT = asked_hook("event", unit="iteration", at=[1, 3])
TIMED = asked_hook("periodic", unit="time", step=1)
EVERY = asked_hook("periodic", unit="iteration", step=2)


def ran(hook: dict[str, Any], times: int) -> dict[str, Any]:
    """Return a hook as Rally reports it, with a default of Rally in its settings."""
    ((trigger, when),) = hook["trigger"].items()
    config = hook | {"trigger": {trigger: when | {"start": 1}}}
    results = [{"status": "success"}] * times
    return {"config": config, "results": results, "summary": {"success": times}}


@pytest.mark.parametrize(
    ("hooks", "lost"),
    [
        ([ran(EVERY, 2), ran(EVENT, 2), ran(TIMED, 1)], None),
        ([ran(TIMED, 7), ran(EVERY, 2), ran(EVENT, 2)], None),
        (
            [ran(EVENT, 1), ran(EVERY, 2), ran(TIMED, 1)],
            "sys_call by event: 2 runs were requested, the report has 1",
        ),
        ([ran(EVENT, 0), ran(EVERY, 2), ran(TIMED, 1)], "2 runs were requested, the report has 0"),
        (
            [ran(EVENT, 2), ran(EVERY, 1), ran(TIMED, 1)],
            "by periodic: 2 runs were requested, the report has 1",
        ),
        (
            [ran(EVENT, 2), ran(EVERY, 2), ran(TIMED, 0)],
            "by periodic: 1 runs were requested, the report has 0",
        ),
        ([ran(EVERY, 2), ran(TIMED, 1)], "by event: 1 were requested, the report has 0"),
        ([ran(EVENT, 2), ran(EVERY, 2)], "by periodic: 2 were requested, the report has 1"),
        ([], "by event: 1 were requested, the report has 0"),
    ],
)
def test_a_hook_with_fewer_runs_than_asked_is_an_error(
    report: dict[str, Any], hooks: list[dict[str, Any]], lost: str | None
) -> None:
    workload(report)["hooks"] = hooks
    entry = {"name": "Dummy.dummy", "iterations": 3, "hooks": [EVENT, TIMED, EVERY]}
    asked = read_asked(json.dumps([entry]).encode())
    found = list(parse(BytesIO(json.dumps(report).encode()), asked))
    cases = [(one.id, one.outcome) for one in found if isinstance(one, Case)]
    problems = [one.message for one in found if isinstance(one, Reason)]
    assert cases == ([] if lost else GOOD)
    if lost is None:
        assert problems == []
    else:
        assert lost in problems[0]


def test_a_list_without_hooks_is_read(report: dict[str, Any]) -> None:
    workload(report)["hooks"] = [ran(EVENT, 0)]
    assert read(report) == (GOOD, [])


@pytest.mark.parametrize(
    "hooks", [5, [5], [{}], [{"action": {"a": 1}, "trigger": {}}], [asked_hook("event")]]
)
def test_invalid_hooks_are_refused(hooks: int | list[Any]) -> None:
    entry = {"name": "a", "iterations": 1, "hooks": hooks}
    with pytest.raises(ValueError, match="is not a workload with name, iterations and hooks"):
        read_asked(json.dumps([entry]).encode())


def test_workloads_of_one_scenario_are_distinguished_by_their_order() -> None:
    asked = [{"name": "a", "iterations": 3}, {"name": "b", "iterations": None}]
    assert read_asked(json.dumps([*asked, *asked]).encode()) == {
        "a": AskedWorkload(3),
        "b": AskedWorkload(None),
        "a#2": AskedWorkload(3),
        "b#2": AskedWorkload(None),
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("scenario", {}),
        ("scenario", {"a": {}, "b": {}}),
        ("scenario", [5]),
        ("scenario", {"x" * 5000: {}}),
        ("data", 5),
        ("data", [5]),
        ("data", [{}]),
        ("total_iteration_count", "three"),
        ("total_iteration_count", 1e999),
        ("failed_iteration_count", None),
        ("start_time", 1e999),
        ("start_time", 1e12),
        ("start_time", -1),
        ("full_duration", 1e999),
        ("full_duration", "long"),
        ("sla_results", {"sla": None}),
        ("sla_results", {"sla": [{"success": False, "detail": [[]]}]}),
    ],
)
def test_a_malformed_workload_is_an_error_and_has_no_case(
    report: dict[str, Any], field: str, value: Any
) -> None:
    workload(report)[field] = value
    content = json.dumps(report).replace("Infinity", "1e999").encode()
    assert read(content) == ([], [Code.DAMAGED])


def test_an_unfinished_workload_is_reported_and_its_failures_are_listed(
    report: dict[str, Any],
) -> None:
    load = workload(report)
    load |= {"sla_results": {}, "start_time": None, "pass_sla": True}
    assert read(report) == ([], [Code.IN_PROGRESS])
    load["data"][1]["error"] = ["ValueError", "5", "Traceback\nValueError: 5\n"]
    load["failed_iteration_count"] = 1
    assert read(report) == (BAD, [Code.IN_PROGRESS])


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(
    "odd", [5, {}, {"scenario": {"Dummy.odd": {}}}, {"scenario": {"a": 1, "b": 2}}]
)
def test_a_malformed_workload_does_not_hide_others(
    report: dict[str, Any], place: int, odd: int | dict[str, dict[str, Any]]
) -> None:
    loads = report["tasks"][0]["subtasks"][0]["workloads"]
    loads.append(json.loads(json.dumps(loads[0])))
    loads.insert(place, odd)
    second = [("Dummy.dummy#2", Outcome.SUCCESS)]
    assert read(report) == (GOOD + second, [Code.DAMAGED])


def test_a_malformed_workload_counts_in_the_numbering_of_its_scenario(
    report: dict[str, Any],
) -> None:
    loads = report["tasks"][0]["subtasks"][0]["workloads"]
    loads.append(json.loads(json.dumps(loads[0])))
    loads[0]["data"] = 5
    assert read(report) == ([("Dummy.dummy#2", Outcome.SUCCESS)], [Code.DAMAGED])


@pytest.mark.parametrize("level", ["task", "subtask"])
@pytest.mark.parametrize("odd", [5, {}, None, "x"])
def test_a_malformed_task_or_subtask_does_not_hide_others(
    report: dict[str, Any], level: str, odd: Any
) -> None:
    tasks = report["tasks"]
    (tasks if level == "task" else tasks[0]["subtasks"]).insert(0, odd)
    cases, problems = read(report)
    assert cases == GOOD
    assert set(problems) == {Code.DAMAGED}


def test_the_number_of_reported_malformed_workloads_is_limited(report: dict[str, Any]) -> None:
    report["tasks"][0]["subtasks"][0]["workloads"] += [5] * 100_000
    cases, problems = read(report)
    assert cases == GOOD
    assert problems == [Code.DAMAGED] * (PROBLEMS_BOUND + 1)


def test_a_long_status_of_a_task_is_shortened(report: dict[str, Any]) -> None:
    report["tasks"][0]["status"] = "x" * 1_000_000
    problem, *_ = parse(BytesIO(json.dumps(report).encode()), {"Dummy.dummy": AskedWorkload(3)})
    assert isinstance(problem, Reason)
    assert len(problem.message) < 300


def test_the_sizes_of_reasons_and_details_are_limited(report: dict[str, Any]) -> None:
    load = workload(report)
    load["data"][1]["error"] = ["ValueError", "5", "x" * 1_000_000]
    load["failed_iteration_count"] = 1
    load["sla_results"]["sla"] = [{"success": False, "detail": "y" * 1_000_000}]
    (case,) = parse(BytesIO(json.dumps(report).encode()), {"Dummy.dummy": AskedWorkload(3)})
    assert isinstance(case, Case)
    assert case.reason
    assert len(case.reason) <= 1000
    assert case.details
    assert len(case.details) < 70_000


def action(name: str | int, *children: Any, took: float = 1.0) -> dict[str, Any]:
    return {"name": name, "started_at": 9.0, "finished_at": 9.0 + took, "children": [*children]}


def timings_and_codes(
    report: dict[str, Any], asked: int = 3
) -> tuple[dict[str, float], list[Code]]:
    """Return the seconds of each action of a report, and the codes of its problems."""
    found = list(parse(BytesIO(json.dumps(report).encode()), {"Dummy.dummy": AskedWorkload(asked)}))
    timings = {one.name: one.seconds for one in found if isinstance(one, Timing)}
    return timings, [one.code for one in found if isinstance(one, Reason)]


def test_the_time_of_an_action_is_the_median_of_its_iterations(report: dict[str, Any]) -> None:
    each = [[action("a", took=took)] for took in (1.0, 30.0, 2.0)]
    for iteration, actions in zip(workload(report)["data"], each, strict=True):
        iteration["atomic_actions"] = actions
    assert timings_and_codes(report) == ({"Dummy.dummy/a": 2.0}, [])


def test_a_negative_time_of_an_action_is_ignored(report: dict[str, Any]) -> None:
    actions = [[action("a", took=5.0)], [action("a", took=7.0)], [action("a", took=-3600.0)]]
    for iteration, each in zip(workload(report)["data"], actions, strict=True):
        iteration["atomic_actions"] = each
    assert timings_and_codes(report) == ({"Dummy.dummy/a": 6.0}, [])


def test_a_workload_in_which_the_clock_was_set_back_has_no_duration(report: dict[str, Any]) -> None:
    workload(report)["full_duration"] = -3598.5
    case, *timings = parse(BytesIO(json.dumps(report).encode()), {"Dummy.dummy": AskedWorkload(3)})
    assert isinstance(case, Case)
    assert (case.outcome, case.seconds) == (Outcome.SUCCESS, None)
    assert all(isinstance(one, Timing) for one in timings)


def test_actions_of_one_name_are_summed_and_nested_ones_are_separate(
    report: dict[str, Any],
) -> None:
    for iteration in workload(report)["data"]:
        parts = action("a", took=0.25), action("a", took=0.5)
        iteration["atomic_actions"] = [action("a"), action("a", *parts), action("b", took=3.0)]
    timings = {"Dummy.dummy/a": 2.0, "Dummy.dummy/a/a": 0.75, "Dummy.dummy/b": 3.0}
    assert timings_and_codes(report) == (timings, [])


def test_an_action_of_some_iterations_has_the_median_of_these(report: dict[str, Any]) -> None:
    for iteration, took in zip(workload(report)["data"], (5.0, 7.0, None), strict=True):
        iteration["atomic_actions"] = [action("a", took=took)] if took else []
    assert timings_and_codes(report) == ({"Dummy.dummy/a": 6.0}, [])


@pytest.mark.parametrize("harm", ["error", "lost"])
def test_a_workload_without_success_has_no_timings(report: dict[str, Any], harm: str) -> None:
    load = workload(report)
    assert timings_and_codes(report)[0].keys() == {"Dummy.dummy/foo", "Dummy.dummy/foo/bar"}
    if harm == "error":
        load["data"][0]["error"] = ["ValueError", "5", "Traceback"]
        load["failed_iteration_count"] = 1
    else:
        del load["data"][0]
    assert timings_and_codes(report)[0] == {}


@pytest.mark.parametrize(
    "actions",
    [
        5,
        [5],
        [{"name": "a"}],
        [action("x" * 401)],
        [action(5)],
        [action("a") | {"started_at": None}],
        [action(str(number)) for number in range(ACTIONS_BOUND + 1)],
    ],
    ids=lambda actions: str(actions)[:40],
)
def test_malformed_actions_are_an_error(report: dict[str, Any], actions: int | list[Any]) -> None:
    workload(report)["data"][1]["atomic_actions"] = actions
    assert timings_and_codes(report)[1] == [Code.DAMAGED]


def test_deeply_nested_actions_are_an_error(report: dict[str, Any]) -> None:
    nested = action("")
    for _ in range(450):
        nested = action("", nested)
    workload(report)["data"][0]["atomic_actions"] = [nested]
    assert timings_and_codes(report)[1] == [Code.DAMAGED]


@pytest.mark.parametrize("content", ["[1]", '[{"name": "a"}]', '[{"name": "a", "iterations": 0}]'])
def test_a_list_without_names_and_iterations_is_refused(content: str) -> None:
    with pytest.raises(ValueError, match="iterations"):
        read_asked(content.encode())


@pytest.mark.parametrize("content", ["5", "null", "{}", '"a"'])
def test_another_document_than_a_list_is_refused(content: str) -> None:
    with pytest.raises(ValueError, match="not a list of workloads"):
        read_asked(content.encode())
