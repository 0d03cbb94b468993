# SPDX-License-Identifier: Apache-2.0
"""From a buildset to its review: which results give which vote, and what proves nothing."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fakes.zuul import JOB, PROJECT, TENANT, Zuul, simulated, verdict

from bsdgate.harness.listen.inbox import Item
from bsdgate.harness.listen.judge import Judge, NotYetError, RejectedError
from bsdgate.harness.listen.logs import Logs
from bsdgate.harness.listen.settings import Settings
from bsdgate.harness.listen.zuul import Api, MessageBuild, parse
from bsdgate.results.model import Result
from bsdgate.results.reporters.review import Review

ERROR = """Zuul encountered a syntax error while parsing its
configuration in the repo demo on branch master.  The
problem was:

  extra keys not allowed

  in "demo/zuul.d/jobs.yaml@master", line 3
"""


class Files:
    """The files and the altered lines of a change, as Gerrit's client returns them."""

    def files(self, change: int, patchset: int) -> frozenset[str]:
        return frozenset({"zuul.d/jobs.yaml"})

    def lines(self, change: int, patchset: int, path: str) -> frozenset[int]:
        return frozenset({3})


@pytest.fixture
def zuul() -> Iterator[Zuul]:
    with simulated() as found:
        yield found


def settings(zuul: Zuul, **more: Any) -> Settings:
    return Settings.model_validate(
        {
            "broker": {"host": "localhost", "topics": ["zuul/#"]},
            "zuul": {"url": zuul.url, "tenant": TENANT, "logs": [f"{zuul.url}/logs/"]},
            "gerrit": {"url": "https://review.example.org"},
            "pipelines": {"check": {}},
            "jobs": [JOB],
            "required": {PROJECT: [JOB]},
            "refused": ["bsdgate"],
            **more,
        }
    )


def builds(message: dict[str, Any]) -> dict[str, MessageBuild]:
    found = parse(json.dumps(message).encode()).buildset.builds
    return {each.uuid: each for each in found if each.uuid}


def judged(
    zuul: Zuul, *messages: dict[str, Any], uuid: str = "b1", age: float = 0, **more: Any
) -> Review | None:
    given = settings(zuul, **more)
    received = datetime.now(UTC) - timedelta(seconds=age)
    item = Item(uuid, received, tuple(map(builds, messages)))
    client: Any = Files()
    judge = Judge(given, Api(zuul.url, TENANT), Logs(given.zuul.logs), client)
    found = judge.judge(item).reviews
    return found[0] if found else None


def returned(message: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = message["buildset"]["builds"][0]["returned_data"]["bsdgate"]
    return found


@pytest.mark.parametrize(
    ("build", "result", "vote"),
    [
        ("SUCCESS", Result.PASS, {"Verified": 1}),
        ("SUCCESS", Result.FAIL, {"Verified": -1}),
        ("FAILURE", Result.FAIL, {"Verified": -1}),
        ("FAILURE", Result.PASS, {}),
        ("SUCCESS", Result.ERROR, {}),
        ("RETRY_LIMIT", Result.PASS, {}),
        ("NODE_FAILURE", Result.FAIL, {}),
        ("POST_FAILURE", Result.FAIL, {}),
        ("TIMED_OUT", Result.FAIL, {}),
        ("ABORTED", Result.PASS, {}),
        ("SKIPPED", Result.PASS, {}),
        (None, Result.PASS, {}),
    ],
)
def test_a_build_and_its_verdict_give_a_vote(
    zuul: Zuul, build: str | None, result: Result, vote: dict[str, int]
) -> None:
    message = zuul.add("b1", 1, verdict(1, result=result))
    zuul.buildsets["b1"]["builds"][0]["result"] = build
    zuul.buildsets["b1"]["result"] = "SUCCESS" if build == "SUCCESS" else "FAILURE"
    review = judged(zuul, message)
    assert review is not None
    assert review.labels == vote
    assert review.message.splitlines()[-1].startswith("bsdgate 1,1 buildset b1 2026-11-29T01:40")


def digest(message: dict[str, Any], zuul: Zuul) -> None:
    zuul.files["/logs/b1/bsdgate/verdict.json"] += b" "


def bad_digest(message: dict[str, Any], zuul: Zuul) -> None:
    returned(message)["verdict"]["sha256"] = "0" * 64


def absent(message: dict[str, Any], zuul: Zuul) -> None:
    del message["buildset"]["builds"][0]["returned_data"]["bsdgate"]


def no_file(message: dict[str, Any], zuul: Zuul) -> None:
    zuul.files.clear()


def other_run(message: dict[str, Any], zuul: Zuul) -> None:
    returned(message)["run_id"] = "another"


def other_result(message: dict[str, Any], zuul: Zuul) -> None:
    returned(message)["result"] = "FAIL"


def other_change(message: dict[str, Any], zuul: Zuul) -> None:
    returned(message)["change"] = "2"


def outside(message: dict[str, Any], zuul: Zuul) -> None:
    returned(message)["verdict"]["path"] = "../b2/verdict.json"


def other_server(message: dict[str, Any], zuul: Zuul) -> None:
    zuul.buildsets["b1"]["builds"][0]["log_url"] = "http://127.0.0.1:9/logs/"


def climbing(message: dict[str, Any], zuul: Zuul) -> None:
    zuul.buildsets["b1"]["builds"][0]["log_url"] = f"{zuul.url}/logs/../b1/"


def two(message: dict[str, Any], zuul: Zuul) -> None:
    metadata = {"bsdgate": {**returned(message), "run_id": "another"}}
    zuul.buildsets["b1"]["builds"][0]["artifacts"] = [{"name": "v", "metadata": metadata}]


def together(message: dict[str, Any], zuul: Zuul) -> None:
    returned(message)["items"] = [{"project": "bsdgate", "change": "9", "patchset": "1"}]


def unknown_items(message: dict[str, Any], zuul: Zuul) -> None:
    del returned(message)["items"]


def other_job(message: dict[str, Any], zuul: Zuul) -> None:
    zuul.buildsets["b1"]["builds"][0]["job_name"] = "mine"
    message["buildset"]["builds"][0]["job_name"] = "mine"


def build_of_another(message: dict[str, Any], zuul: Zuul) -> None:
    ref = zuul.buildsets["b1"]["builds"][0]["ref"]
    zuul.buildsets["b1"]["builds"][0]["ref"] = {**ref, "change": 2}


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (digest, "another digest"),
        (bad_digest, "another digest"),
        (absent, "returned no verdict"),
        (no_file, "answers 404"),
        (other_run, "another run"),
        (other_result, "another result"),
        (other_change, "another change"),
        (outside, "verdict.path"),
        (other_server, "not on an allowed server"),
        (climbing, "not on an allowed server"),
        (two, "two verdicts"),
        (together, "together with a change of bsdgate"),
        (unknown_items, "did not return the changes"),
        (other_job, "not in the buildset"),
        (build_of_another, "of another change"),
    ],
)
def test_a_verdict_that_nobody_can_defend_gives_no_vote(
    zuul: Zuul, spoil: Any, reason: str
) -> None:
    message = zuul.add("b1", 1, verdict(1))
    spoil(message, zuul)
    review = judged(zuul, message)
    assert review is not None
    assert review.labels == {}
    assert review.message.startswith("NO VOTE")
    assert reason in review.message


def test_a_verdict_of_another_change_gives_no_vote(zuul: Zuul) -> None:
    review = judged(zuul, zuul.add("b1", 1, verdict(2)))
    assert review is not None
    assert review.labels == {}


def test_a_lost_message_is_replaced_by_the_metadata_of_an_artifact(zuul: Zuul) -> None:
    message = zuul.add("b1", 1, verdict(1))
    metadata = {"type": "json_verdict", "bsdgate": returned(message)}
    zuul.buildsets["b1"]["builds"][0]["artifacts"] = [{"name": "v", "metadata": metadata}]
    review = judged(zuul)
    assert review is not None
    assert review.labels == {"Verified": 1}


def test_a_message_about_another_build_is_not_used(zuul: Zuul) -> None:
    message = zuul.add("b1", 1, verdict(1))
    forged = json.loads(json.dumps(message).replace("build-b1", "forged"))
    with pytest.raises(NotYetError, match="may still come"):
        judged(zuul, forged)
    review = judged(zuul, forged, age=60)
    assert review is not None
    assert "returned no verdict" in review.message
    review = judged(zuul, forged, message)
    assert review is not None
    assert review.labels == {"Verified": 1}
    with pytest.raises(RejectedError, match="no such buildset"):
        judged(zuul, uuid="forged")


def test_two_messages_with_two_verdicts_give_no_vote(zuul: Zuul) -> None:
    message = zuul.add("b1", 1, verdict(1))
    forged = json.loads(json.dumps(message))
    returned(forged)["run_id"] = "another"
    review = judged(zuul, forged, message)
    assert review is not None
    assert "two verdicts" in review.message
    assert review.labels == {}


def test_a_message_about_a_buildset_that_runs_on_does_not_stay(zuul: Zuul) -> None:
    message = zuul.add("b1", 1, verdict(1), ended=False)
    with pytest.raises(NotYetError, match="no result of the buildset yet"):
        judged(zuul, message)
    with pytest.raises(RejectedError, match="no result of it after 900 s"):
        judged(zuul, message, age=901)


def test_a_buildset_without_a_result_waits(zuul: Zuul) -> None:
    message = zuul.add("b1", 1, verdict(1))
    zuul.buildsets["b1"]["result"] = None
    with pytest.raises(NotYetError):
        judged(zuul, message)


def test_a_log_server_that_is_away_is_waited_for_and_then_given_up(zuul: Zuul) -> None:
    message = zuul.add("b1", 1, verdict(1))
    zuul.logs_unavailable = True
    with pytest.raises(NotYetError, match="503"):
        judged(zuul, message)
    review = judged(zuul, message, age=3601)
    assert review is not None
    assert "log server is away" in review.message
    assert review.labels == {}


@pytest.mark.parametrize("result", ["DEQUEUED", "NO_JOBS"])
def test_nothing_is_posted_after_a_dequeue(zuul: Zuul, result: str) -> None:
    assert judged(zuul, zuul.add("b1", 1, None, result=result)) is None


def test_a_configuration_error_on_a_line_of_the_change_is_a_failure(zuul: Zuul) -> None:
    review = judged(zuul, zuul.add("b1", 1, None, result="CONFIG_ERROR", message=ERROR))
    assert review is not None
    assert review.labels == {"Verified": -1}
    (comment,) = review.comments
    assert (comment.path, comment.line) == ("zuul.d/jobs.yaml", 3)
    assert comment.message == "Zuul's configuration is wrong here. extra keys not allowed"
    assert "    Zuul encountered a syntax error" in review.message
    assert len(review.message.splitlines()) <= 25


@pytest.mark.parametrize(
    ("old", "new"),
    [("line 3", "line 4"), ("jobs.yaml", "other.yaml"), ('"demo/', '"other/')],
)
def test_another_configuration_error_gives_no_vote(zuul: Zuul, old: str, new: str) -> None:
    text = ERROR.replace(old, new)
    review = judged(zuul, zuul.add("b1", 1, None, result="CONFIG_ERROR", message=text))
    assert review is not None
    assert review.labels == {}
    assert "extra keys not allowed" in review.message


def test_a_merge_conflict_is_a_comment_with_the_text_of_zuul(zuul: Zuul) -> None:
    text = f"Merge Failed.\n\n{'x' * 900}\n" * 20
    review = judged(zuul, zuul.add("b1", 1, None, result="MERGE_CONFLICT", message=text))
    assert review is not None
    assert (review.labels, review.comments) == ({}, ())
    assert "    Merge Failed." in review.message
    assert len(review.message.splitlines()) <= 25


def test_without_a_label_there_is_no_vote(zuul: Zuul) -> None:
    message = zuul.add("b1", 1, verdict(1))
    gerrit = {"url": "https://review.example.org", "label": None}
    review = judged(zuul, message, gerrit=gerrit)
    assert review is not None
    assert (review.labels, review.message[:4]) == ({}, "PASS")
