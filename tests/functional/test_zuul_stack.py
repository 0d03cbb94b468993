# SPDX-License-Identifier: Apache-2.0
"""A real Zuul with a real Gerrit: what it reports on the broker, and what it refuses."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from functional.place import wait_for
from functional.zuul_stack.api import Api
from functional.zuul_stack.layout import LISTENER, STRANGER
from functional.zuul_stack.reviews import push
from functional.zuul_stack.stack import Stack
from functional.zuul_stack.subscriber import (
    NOT_AUTHORIZED,
    Subscriber,
    connected,
    publish,
    subscribed,
)

# The first test may make the state of the stack, which takes minutes on a busy machine.
pytestmark = pytest.mark.timeout(600)

ENDS = ("success", "failure", "config-error", "merge-conflict", "no-jobs")
FORGING = """\
- hosts: localhost
  gather_facts: false
  tasks:
    - zuul_return:
        data:
          bsdgate: {verdict: FORGED, build: "0"}
"""
FAILING = "- hosts: localhost\n  gather_facts: false\n  tasks:\n    - fail:\n"


@pytest.fixture(scope="module")
def broker(zuul: Stack) -> Iterator[Subscriber]:
    with subscribed(zuul.layout.ports.mqtt, LISTENER) as subscriber:
        yield subscriber


@pytest.fixture
def api(zuul: Stack) -> Api:
    return Api(zuul.layout.web_url)


def builds(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the builds of a report by the names of their jobs."""
    return {each["job_name"]: each for each in report["buildset"]["builds"]}


def with_job(text: str, name: str = "own") -> str:
    """Return a zuul.yaml that adds a job and runs it in check."""
    return f"{text}\n- project:\n    check:\n      jobs:\n        - {name}\n"


def test_a_push_runs_a_job_and_a_recheck_runs_it_again(
    zuul: Stack, broker: Subscriber, api: Api, tmp_path: Path
) -> None:
    change = push(zuul.gerrit, tmp_path, {"a.txt": "1\n"})
    first = broker.wait(change.number, *ENDS)
    assert first["action"] == "success"
    build = builds(first)["judged"]
    assert build["returned_data"] == {"bsdgate": {"verdict": "PASS", "build": build["uuid"]}}
    evidence = requests.get(f"{build['log_url']}evidence.txt", timeout=60)
    assert evidence.text == f"evidence of {build['uuid']}\n"
    known = api.build(build["uuid"])
    assert (known["result"], known["job_name"]) == ("SUCCESS", "judged")
    reference = known["ref"]
    assert (reference["change"], reference["patchset"]) == (change.number, "1")
    assert first["commit_id"] == change.revision

    change.comment("recheck")
    second = broker.wait(change.number, *ENDS, count=2)
    assert second["action"] == "success"
    assert builds(second)["judged"]["uuid"] != build["uuid"]
    known = api.build(builds(second)["judged"]["uuid"])
    assert known["uuid"] in {each["uuid"] for each in api.builds(change.number)}
    reported = {each["buildset"]["uuid"] for each in (first, second)}
    assert {each["uuid"] for each in api.buildsets(change.number)} == reported
    # Zuul reports on the broker only.
    assert change.messages("zuul") == []
    assert change.vote("zuul") == 0


def test_a_new_patchset_and_an_abandoned_change_end_a_running_build(
    zuul: Stack, broker: Subscriber, tmp_path: Path
) -> None:
    change = push(zuul.gerrit, tmp_path, {"endless": ""})
    broker.wait(change.number, "start")
    change.amend({"endless": None, "a.txt": "1\n"})
    assert broker.wait(change.number, "dequeue")["patchset"] == "1"
    end = broker.wait(change.number, *ENDS)
    assert (end["action"], end["patchset"]) == ("success", "2")

    change.amend({"endless": ""})
    broker.wait(change.number, "start", count=3)
    change.abandon()
    assert broker.wait(change.number, "dequeue", count=2)["patchset"] == "3"
    assert len(broker.of(change.number, *ENDS)) == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("- jobb:\n    name: own\n", "Zuul encountered a syntax error"),
        (with_job("- job:\n    name: own\n    parent: absent\n"), "absent not defined"),
        (
            with_job("- job:\n    name: own\n    parent: guarded\n"),
            "is a protected job in a different project",
        ),
        (
            with_job("- job:\n    name: judged\n    run: own.yaml\n", "judged"),
            "Job judged in demo is not permitted to shadow job judged in ci-config",
        ),
        (
            with_job("- job:\n    name: own\n    parent: judged\n    run: own.yaml\n"),
            "is final and can not act as a parent",
        ),
        (with_job("", "judged: {vars: {verdict: FAIL}}"), "Unable to modify final job"),
    ],
)
def test_a_change_with_a_broken_or_forbidden_zuul_yaml_is_reported(
    zuul: Stack, broker: Subscriber, tmp_path: Path, text: str, problem: str
) -> None:
    change = push(zuul.gerrit, tmp_path, {"zuul.yaml": text, "own.yaml": FORGING})
    end = broker.wait(change.number, *ENDS)
    assert (end["action"], end["buildset"]["result"]) == ("config-error", "CONFIG_ERROR")
    assert problem in end["message"], end["message"]
    assert not builds(end)


def test_what_a_run_playbook_of_a_project_returns_is_overwritten(
    zuul: Stack, broker: Subscriber, tmp_path: Path
) -> None:
    job = "- job:\n    name: own\n    parent: open\n    run: own.yaml\n"
    files: dict[str, str | None] = {"zuul.yaml": with_job(job), "own.yaml": FORGING}
    change = push(zuul.gerrit, tmp_path, files, "sandbox")
    build = builds(broker.wait(change.number, "success"))["own"]
    assert build["returned_data"] == {"bsdgate": {"verdict": "PASS", "build": build["uuid"]}}


def test_a_job_that_fails_in_pre_ends_with_the_retry_limit(
    zuul: Stack, broker: Subscriber, tmp_path: Path
) -> None:
    job = "- job:\n    name: own\n    parent: open\n    pre-run: fail.yaml\n    run: own.yaml\n"
    files: dict[str, str | None] = {
        "zuul.yaml": with_job(job),
        "fail.yaml": FAILING,
        "own.yaml": FORGING,
    }
    change = push(zuul.gerrit, tmp_path, files, "sandbox")
    report = broker.wait(change.number, "failure")
    assert builds(report)["own"]["result"] == "RETRY_LIMIT"
    assert len(report["buildset"]["retry_builds"]) == 1


def test_only_zuul_publishes(zuul: Stack, broker: Subscriber) -> None:
    port = zuul.layout.ports.mqtt
    with connected(port, None) as (_, answer):
        assert str(answer) == "Not authorized"
    with connected(port, (LISTENER[0], "wrong")) as (_, answer):
        assert answer.is_failure
    forged = {"change": "999", "patchset": "1", "action": "success"}
    for account in (LISTENER, STRANGER):
        assert publish(port, account, "zuul/example/check/999/1", forged) == NOT_AUTHORIZED
    assert broker.of(999) == []


def test_a_merged_change_of_the_config_project_reconfigures_zuul(
    zuul: Stack, broker: Subscriber, api: Api, tmp_path: Path
) -> None:
    extra = "- job:\n    name: extra\n    parent: base\n    run: playbooks/judged.yaml\n"
    change = push(zuul.gerrit, tmp_path, {"zuul.d/extra.yaml": extra}, "ci-config")
    assert broker.wait(change.number, *ENDS)["action"] == "no-jobs"
    assert "extra" not in {each["name"] for each in api.get("jobs")}
    change.merge()
    wait_for(lambda: "extra" in {each["name"] for each in api.get("jobs")}, "the new job")
