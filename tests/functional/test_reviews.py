# SPDX-License-Identifier: Apache-2.0
"""Reviews on a real Gerrit: what it accepts, refuses and drops, and what bsdgate makes of it."""

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fakes.faults import Fault, Proxy, proxying
from fakes.zuul import verdict
from functional import gerrit as real
from functional.gerrit import Gerrit
from functional.place import BIN
from unit.results.reporters.made import failed, verdict_of

from bsdgate.harness.reviews.client import Blocked, Client, Limits
from bsdgate.harness.reviews.credentials import Credentials
from bsdgate.harness.reviews.deliver import Delivery, Retries
from bsdgate.harness.reviews.post import Kind, Outcome
from bsdgate.harness.reviews.spool import Spool
from bsdgate.results import document
from bsdgate.results.model import Result, Verdict
from bsdgate.results.reporters import gerrit, zuul
from bsdgate.results.reporters.gerrit import About, Build
from bsdgate.results.reporters.review import Buildset, LineComment, Review, marked

# The first test may make the site of Gerrit, which takes minutes on a busy machine.
pytestmark = pytest.mark.timeout(600)

BEGAN = datetime(2026, 11, 29, 1, 40, tzinfo=UTC)
WRONG = "canary-of-a-wrong-password"
USERS = "tempest.api.identity.v3.test_users.UsersTest.test_get_user"


@pytest.fixture(scope="module")
def proxy(server: Gerrit) -> Iterator[Proxy]:
    with proxying(server.url) as proxy:
        yield proxy


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "reviews")


def review_of(
    change: int, patchset: int = 1, uuid: str = "b1", seconds: int = 0, label: str = "Verified"
) -> Review:
    buildset = Buildset(change, patchset, uuid, BEGAN + timedelta(seconds=seconds))
    build = Build("bsdgate-keystone-smoke", verdict(change, patchset))
    return gerrit.review([build], buildset, About(), label)


def deliver(
    spool: Spool, url: str, who: tuple[str, str] = real.CI, **limits: float
) -> list[Outcome]:
    given = Limits(**{"connect": 10.0, "total": 30.0, "deadline": 2.0, **limits})
    client = Client(url, Credentials(*who), given)
    retries = Retries(total=60, first=0.1, longest=0.1, jitter=0.1)
    return [
        one.outcome for one in Delivery(spool, client, lambda line: None, retries=retries).run()
    ]


def test_a_review_is_one_message_with_a_vote(server: Gerrit, spool: Spool) -> None:
    change = server.new_change()
    spool.add(server.url, review_of(change))
    assert deliver(spool, server.url) == [Outcome(Kind.POSTED)]
    (message,) = server.messages(change)
    assert message.startswith("Patch Set 1: Verified+1\n\nPASS: no failure")
    assert marked(message) == review_of(change).buildset
    assert server.vote(change) == 1
    spool.add(server.url, review_of(change))
    assert deliver(spool, server.url) == [Outcome(Kind.THERE)]
    assert len(server.messages(change)) == 1


def test_comments_are_on_their_lines(server: Gerrit, spool: Spool) -> None:
    change = server.new_change()
    comments = (LineComment("a.txt", 2, "Boom"), LineComment("absent.txt", 1, "Boom"))
    spool.add(server.url, replace(review_of(change), comments=comments))
    assert deliver(spool, server.url) == [Outcome(Kind.POSTED)]
    found = server.comments(change)
    (comment,) = found["a.txt"]
    assert (comment["line"], comment["message"], comment["unresolved"]) == (2, "Boom", False)
    assert "absent.txt" not in found


def test_an_account_without_the_right_comments_without_a_vote(server: Gerrit, spool: Spool) -> None:
    change = server.new_change()
    spool.add(server.url, review_of(change))
    (outcome,) = deliver(spool, server.url, real.GUEST)
    assert outcome.kind is Kind.WITHOUT_VOTE
    assert "restricted" in outcome.text
    assert len(server.messages(change, real.GUEST[0])) == 1
    assert server.vote(change, real.GUEST[0]) == 0


def test_a_label_that_does_not_exist_is_noticed(server: Gerrit, spool: Spool) -> None:
    change = server.new_change()
    spool.add(server.url, review_of(change, label="FreeBSD"))
    expected = Outcome(Kind.WITHOUT_VOTE, "Gerrit did not set the label FreeBSD")
    assert deliver(spool, server.url) == [expected]
    assert len(server.messages(change)) == 1


def test_an_old_patchset_a_closed_change_and_an_unknown_change_get_nothing(
    server: Gerrit, spool: Spool
) -> None:
    old, closed = server.new_change(), server.new_change()
    server.new_patchset(old)
    server.abandon(closed)
    for each in (old, closed, 999_999):
        spool.add(server.url, review_of(each, seconds=each))
    kinds = [outcome.kind for outcome in deliver(spool, server.url)]
    assert sorted(kinds) == [Kind.CLOSED, Kind.GONE, Kind.SUPERSEDED]
    assert server.messages(old) == server.messages(closed) == []


def test_an_older_buildset_does_not_follow_a_newer_one(server: Gerrit, spool: Spool) -> None:
    change = server.new_change()
    spool.add(server.url, review_of(change, uuid="b2", seconds=60))
    deliver(spool, server.url)
    spool.add(server.url, review_of(change, uuid="b1"))
    spool.add(server.url, review_of(change, uuid="b3", seconds=120))
    kinds = [outcome.kind for outcome in deliver(spool, server.url)]
    assert sorted(kinds) == [Kind.POSTED, Kind.SUPERSEDED]
    found = [marked(message) for message in server.messages(change)]
    assert [one and one.uuid for one in found] == ["b2", "b3"]


def test_wrong_credentials_stop_and_lose_nothing(server: Gerrit, spool: Spool) -> None:
    change = server.new_change()
    spool.add(server.url, review_of(change))
    with pytest.raises(Blocked, match="does not accept the user"):
        deliver(spool, server.url, (real.CI[0], WRONG))
    assert deliver(spool, server.url) == [Outcome(Kind.POSTED)]


def test_a_message_of_the_maximum_size_is_accepted(server: Gerrit, spool: Spool) -> None:
    change = server.new_change()
    buildset = review_of(change).buildset
    names = [f"{'☃' * 400}{number}" for number in range(40)]
    failing = verdict_of(Result.FAIL, *(failed(name, reason=name) for name in names))
    builds = [
        Build(
            name,
            replace(
                failing, run=replace(failing.run, run_id=name, change=str(change), patchset="1")
            ),
        )
        for name in names
    ]
    spool.add(server.url, gerrit.review(builds, buildset, About()))
    assert deliver(spool, server.url) == [Outcome(Kind.POSTED)]
    (message,) = server.messages(change)
    assert marked(message) == buildset
    assert server.vote(change) == -1


@pytest.mark.parametrize(
    "fault",
    [
        Fault.BUSY,
        Fault.ERROR,
        Fault.ERROR_AFTER,
        Fault.CUT,
        Fault.CUT_AFTER,
        Fault.CUT_ANSWER,
        Fault.LATE,
    ],
)
def test_after_a_fault_there_is_one_message(
    server: Gerrit, proxy: Proxy, spool: Spool, fault: Fault
) -> None:
    change = server.new_change()
    spool.add(proxy.url, review_of(change))
    proxy.faults = {"POST": [fault, fault]}
    (outcome,) = deliver(spool, proxy.url)
    proxy.faults.clear()
    proxy.settle()
    assert outcome.kind in {Kind.POSTED, Kind.THERE}
    assert len(server.messages(change)) == 1
    assert server.vote(change) == 1


@pytest.mark.parametrize("fault", [Fault.HANG, Fault.HANG_AFTER])
def test_a_server_that_hangs_is_left_and_looked_at_again(
    server: Gerrit, proxy: Proxy, spool: Spool, fault: Fault
) -> None:
    change = server.new_change()
    spool.add(proxy.url, review_of(change))
    proxy.faults = {"POST": [fault]}
    (outcome,) = deliver(spool, proxy.url, total=5.0)
    assert outcome.kind is (Kind.THERE if fault is Fault.HANG_AFTER else Kind.POSTED)
    assert len(server.messages(change)) == 1


@pytest.mark.parametrize("fault", [Fault.PATCHSET, Fault.PATCHSET_AFTER])
def test_a_vote_that_raced_with_a_patchset_is_set_to_0(
    server: Gerrit, proxy: Proxy, spool: Spool, fault: Fault
) -> None:
    change = server.new_change()
    spool.add(proxy.url, review_of(change))
    proxy.faults = {"POST": [fault]}
    proxy.new_patchset = lambda path: server.new_patchset(change)
    (outcome,) = deliver(spool, proxy.url)
    assert "the vote was set to 0, because patchset 2" in outcome.text
    assert [line.splitlines()[0] for line in server.messages(change)] == [
        "Patch Set 1: Verified+1",
        "Patch Set 1: -Verified",
    ]
    assert server.vote(change) == 0


def test_clearing_a_vote_leaves_that_on_the_next_patchset(server: Gerrit, spool: Spool) -> None:
    change = server.new_change()
    first, second = review_of(change), review_of(change, 2, "b2", 60)
    spool.add(server.url, first)
    deliver(spool, server.url)
    server.new_patchset(change)
    spool.add(server.url, second)
    deliver(spool, server.url)
    Client(server.url, Credentials(*real.CI)).clear(first)
    assert server.vote(change) == 1
    assert len(server.messages(change)) == 3


def test_two_processes_do_not_post_at_the_same_time(server: Gerrit, spool: Spool) -> None:
    change = server.new_change()
    outcomes: list[Outcome] = []

    def post() -> None:
        own = Spool(spool.folder)
        with own.locked(lambda line: None):
            own.add(server.url, review_of(change))
            outcomes.extend(deliver(own, server.url))

    threads = [threading.Thread(target=post) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcome.kind for outcome in outcomes) == [Kind.THERE] * 3 + [Kind.POSTED]
    assert len(server.messages(change)) == 1


def run_dir(path: Path, found: Verdict) -> Path:
    (path / "report").mkdir(parents=True)
    (path / "report" / "verdict.json").write_text(document.render(found))
    (path / "report" / "zuul.json").write_text(json.dumps(zuul.render(found)))
    return path


class Command:
    """The command ``bsdgate vote``, with a home of its own."""

    def __init__(self, home: Path, url: str) -> None:
        self.home, self.url = home, url

    def __call__(self, *words: str | Path, password: str | None = real.CI[1]) -> tuple[int, str]:
        environ = {**os.environ, "BSDGATE_STATE_DIR": str(self.home / "state")}
        if password is not None:
            environ |= {"BSDGATE_GERRIT_USER": real.CI[0], "BSDGATE_GERRIT_PASSWORD": password}
        command = [BIN / "bsdgate", "vote", "--gerrit", self.url, *words]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
        assert real.CI[1] not in done.stdout + done.stderr
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
def vote(server: Gerrit, tmp_path: Path) -> Command:
    return Command(tmp_path, server.url)


def test_the_command_posts_the_verdict_of_a_run(
    server: Gerrit, vote: Command, tmp_path: Path
) -> None:
    change = server.new_change()
    run = run_dir(tmp_path / "run", verdict(change, result=Result.FAIL, run="1234"))
    words: list[str | Path] = [
        run,
        "--change",
        f"{change},1",
        "--url",
        "https://logs.example.org/1",
    ]
    code, shown = vote(*words, "--dry-run", password=None)
    assert (code, server.messages(change)) == (0, [])
    code, output = vote(*words)
    assert code == 0, output
    assert f"{change},1 1234: posted" in output
    (message,) = server.messages(change)
    sent = json.loads(shown.partition("\n\n")[2])
    assert message == f"Patch Set 1: Verified-1\n\n{sent['message']}"
    assert "* keystone-smoke https://logs.example.org/1 : FAILURE" in message
    code, output = vote(*words)
    assert (code, f"{change},1 1234: already posted" in output) == (0, True)


def test_the_command_continues_after_wrong_credentials(
    server: Gerrit, vote: Command, tmp_path: Path
) -> None:
    change = server.new_change()
    run = run_dir(tmp_path / "run", verdict(change, run="1234"))
    code, output = vote(run, "--change", f"{change},1", password=WRONG)
    assert (code, "does not accept the user" in output) == (3, True)
    code, output = vote()
    assert (code, f"{change},1 1234: posted" in output) == (0, True), output
    assert vote()[1].endswith("no review waits\n")
    assert server.vote(change) == 1


def test_the_command_refuses_a_run_of_another_patchset(
    server: Gerrit, vote: Command, tmp_path: Path
) -> None:
    change = server.new_change()
    run = run_dir(tmp_path / "run", verdict(change, run="1234"))
    code, output = vote(run, "--change", f"{change},2")
    assert (code, f"has tested change {change},1" in output) == (2, True)
    assert server.messages(change) == []
