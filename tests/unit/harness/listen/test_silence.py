# SPDX-License-Identifier: Apache-2.0
"""What is overdue: patchsets without a buildset, without a review or without a job."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes.zuul import JOB, PROJECT, TENANT, Zuul, simulated, verdict

from bsdgate.harness.listen.events import Patchset, parse
from bsdgate.harness.listen.inbox import Inbox
from bsdgate.harness.listen.settings import Settings
from bsdgate.harness.listen.silence import Silence
from bsdgate.harness.listen.zuul import Api
from bsdgate.harness.reviews.client import Change
from bsdgate.results.reporters.review import Buildset

AGO = datetime.now(UTC) - timedelta(hours=1)
ACCOUNT = 7


@dataclass
class Gerrit:
    """The changes, as Gerrit's client returns them; ``queries`` counts the queries for them."""

    account: int = ACCOUNT
    status: str = "NEW"
    patchset: int = 1
    reviewed: list[str] = field(default_factory=list)
    queries: int = 0

    def recent(self, projects: Any, hours: int) -> Any:
        self.queries += 1
        return ()

    def change(self, number: int) -> Change:
        marks = [Buildset(number, self.patchset, uuid, AGO).mark for uuid in self.reviewed]
        messages = [{"author": {"_account_id": ACCOUNT}, "message": mark} for mark in marks]
        about = {"status": self.status, "current_revision": "r", "messages": messages}
        return Change.model_validate({**about, "revisions": {"r": {"_number": self.patchset}}})


@dataclass
class Given:
    silence: Silence
    zuul: Zuul
    gerrit: Gerrit
    lines: list[str]

    def overdue(self) -> list[str]:
        return self.silence.overdue([])


@pytest.fixture
def given(tmp_path: Path) -> Iterator[Given]:
    inbox, gerrit, lines = Inbox(tmp_path / "inbox"), Gerrit(), list[str]()
    inbox.remember(inbox.seen().model_copy(update={"since": AGO - timedelta(hours=1)}))
    with simulated() as zuul:
        settings = Settings.model_validate(
            {
                "broker": {"host": "localhost", "topics": ["zuul/#"]},
                "zuul": {"url": zuul.url, "tenant": TENANT, "logs": [f"{zuul.url}/logs/"]},
                "gerrit": {"url": "https://review.example.org"},
                "pipelines": {"check": {"deadline": 60, "enqueue": True}},
                "jobs": [JOB],
                "required": {PROJECT: [JOB]},
                "watch": [PROJECT],
            }
        )
        client: Any = gerrit
        api = Api(zuul.url, TENANT, token="t0k3n")  # noqa: S106 - not a password
        yield Given(Silence(settings, api, client, inbox, lines.append), zuul, gerrit, lines)


def patchset(uploaded: datetime = AGO - timedelta(minutes=1), number: int = 1) -> Patchset:
    return Patchset(PROJECT, 5, number, uploaded)


@pytest.fixture
def old(given: Given) -> Given:
    given.silence.add(patchset())
    return given


def test_a_patchset_that_zuul_has_missed_is_named_and_enqueued_once(old: Given) -> None:
    for _ in range(2):
        assert old.overdue() == ["5,1: Zuul has no buildset for it"]
    assert old.lines == [
        "warning: 5,1: Zuul has no buildset for it",
        "5,1: enqueued in check",
    ]
    body = {"pipeline": "check", "change": "5,1"}
    assert old.zuul.enqueued == [(PROJECT, "Bearer t0k3n", body)]
    old.zuul.add("b1", 5, verdict(5))
    old.gerrit.reviewed = ["b1"]
    assert old.overdue() == []


def test_a_buildset_without_a_review_is_named(old: Given) -> None:
    old.zuul.add("b1", 5, verdict(5))
    assert old.overdue() == ["5,1: buildset b1 has ended, but it has no review"]
    assert old.zuul.enqueued == []
    old.gerrit.reviewed = ["b1"]
    assert old.overdue() == []
    assert old.zuul.asked
    asked = len(old.zuul.asked)
    # What was found is not requested again.
    assert (old.overdue(), len(old.zuul.asked)) == ([], asked)


def test_a_job_that_has_vanished_is_named(old: Given) -> None:
    old.zuul.add("b1", 5, verdict(5))
    old.zuul.buildsets["b1"]["builds"][0]["job_name"] = "other"
    old.gerrit.reviewed = ["b1"]
    assert old.overdue() == [f"5,1: buildset b1 lacks the job {JOB}"]


@pytest.mark.parametrize("result", [None, "DEQUEUED", "NO_JOBS"])
def test_a_buildset_that_runs_or_gives_no_review_is_not_named(
    old: Given, result: str | None
) -> None:
    old.zuul.add("b1", 5, None)
    old.zuul.buildsets["b1"]["result"] = result
    assert old.overdue() == []


@pytest.mark.parametrize("state", [{"status": "MERGED"}, {"patchset": 2}])
def test_a_closed_change_and_an_old_patchset_are_not_named(
    old: Given, state: dict[str, Any]
) -> None:
    for name, value in state.items():
        setattr(old.gerrit, name, value)
    assert old.overdue() == []


def test_only_the_newest_patchset_of_a_watched_project_counts(given: Given) -> None:
    given.silence.add(Patchset("other", 6, 1, AGO))
    given.silence.add(patchset(number=2))
    given.silence.add(patchset(number=1))
    given.gerrit.patchset = 2
    assert given.overdue() == ["5,2: Zuul has no buildset for it"]


def test_the_second_of_the_first_start_counts(given: Given) -> None:
    inbox = given.silence._inbox
    since = inbox.seen().since
    inbox.remember(inbox.seen().model_copy(update={"since": since.replace(microsecond=999_999)}))
    given.silence.add(patchset(since.replace(microsecond=0)))
    assert given.overdue() == ["5,1: Zuul has no buildset for it"]


def test_a_patchset_from_before_the_first_start_is_not_named(given: Given) -> None:
    given.silence.add(patchset(AGO - timedelta(hours=2)))
    assert given.overdue() == []


def test_before_its_deadline_nothing_is_overdue(given: Given) -> None:
    given.silence.add(patchset(datetime.now(UTC)))
    assert given.overdue() == []


def test_a_slow_buildset_is_named(given: Given) -> None:
    given.zuul.add("slow", 1, verdict(1), began=AGO, ended=False)
    running = Api(given.zuul.url, TENANT).buildsets()
    (line,) = given.silence.overdue(running)
    assert line.startswith("1,1: buildset slow runs since")
    assert given.gerrit.queries == 1


EVENT = {
    "type": "patchset-created",
    "change": {"project": "demo", "number": 5},
    "patchSet": {"number": 2, "createdOn": 1795912800},
}


def test_an_event_is_a_patchset() -> None:
    uploaded = datetime(2026, 11, 29, 0, 40, tzinfo=UTC)
    assert parse(json.dumps(EVENT).encode()) == Patchset("demo", 5, 2, uploaded)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\xff",
        b"[]",
        b"[" * 100_000,
        json.dumps({**EVENT, "type": "comment-added"}).encode(),
        json.dumps({**EVENT, "patchSet": {"number": "x"}}).encode(),
    ],
)
def test_other_lines_are_no_patchset(line: bytes) -> None:
    assert parse(line) is None
