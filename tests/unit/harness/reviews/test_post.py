# SPDX-License-Identifier: Apache-2.0
"""The rules of a post, and the rounds of a delivery, with a client that has no server."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from bsdgate.harness.reviews.aside import ASIDE
from bsdgate.harness.reviews.client import (
    Author,
    Blocked,
    Change,
    Client,
    Limits,
    Message,
    Refused,
    Unavailable,
)
from bsdgate.harness.reviews.deliver import Delivery, Retries
from bsdgate.harness.reviews.post import Kind, Outcome, post
from bsdgate.harness.reviews.spool import Spool
from bsdgate.results.reporters.review import Buildset, LineComment, Review

SERVER = "https://review.example.org"
OURS, OTHERS = 7, 8
BUILDSET = Buildset(912345, 3, "8f3c", datetime(2026, 11, 29, 1, 40, tzinfo=UTC))
LATER = replace(BUILDSET, uuid="later", started=BUILDSET.started + timedelta(seconds=1))
EARLIER = replace(BUILDSET, uuid="earlier", started=BUILDSET.started - timedelta(seconds=1))


def review_of(buildset: Buildset = BUILDSET, **fields: Any) -> Review:
    about = {"message": f"PASS\n{buildset.mark}", "labels": {"Verified": 1}, **fields}
    return Review(buildset, **about)


@dataclass
class Scripted:
    """A change with prepared answers to posts: an exception, or the label is set."""

    status: str = "NEW"
    patchset: int = 3
    answers: list[Exception | dict[str, int] | Callable[[], None]] = field(default_factory=list)
    messages: list[tuple[int, str]] = field(default_factory=list)
    posts: list[Review] = field(default_factory=list)
    cleared: list[Review] = field(default_factory=list)
    files_there: frozenset[str] = frozenset({"a.py"})
    server: str = SERVER
    account: int = OURS
    limits: Limits = field(default_factory=Limits)
    failure: Exception | None = None

    def change(self, number: int) -> Change:
        if self.failure:
            raise self.failure
        found = [
            Message(author=Author(_account_id=author), message=text)
            for author, text in self.messages
        ]
        revisions = {"sha": {"_number": self.patchset}}
        fields = {"status": self.status, "current_revision": "sha", "revisions": revisions}
        return Change.model_validate({**fields, "messages": [Message(message="of Gerrit"), *found]})

    def files(self, change: int, patchset: int) -> frozenset[str]:
        return self.files_there

    def post(self, review: Review) -> dict[str, int]:
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Refused):
            raise answer
        self.posts.append(review)
        self.messages.append((OURS, f"Patch Set 3:\n\n{review.message}"))
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            answer()
        return dict(answer if isinstance(answer, dict) else review.labels)

    def clear(self, review: Review) -> None:
        if self.status != "NEW":
            raise Refused(409, "change is closed")
        self.cleared.append(review)


def try_(review: Review, client: Scripted) -> Outcome:
    sent: list[int] = []
    outcome = post(review, cast("Client", client), lambda: sent.append(len(client.posts)))
    assert len(sent) >= len(client.posts), "a request was sent without a record"
    return outcome


def test_a_review_is_posted_with_its_vote() -> None:
    client = Scripted()
    assert try_(review_of(), client) == Outcome(Kind.POSTED)
    assert client.posts == [review_of()]
    assert client.cleared == []


@pytest.mark.parametrize(
    ("client", "kind", "text"),
    [
        (Scripted(status="MERGED"), Kind.CLOSED, "merged"),
        (Scripted(status="ABANDONED"), Kind.CLOSED, "abandoned"),
        (Scripted(patchset=4), Kind.SUPERSEDED, "the current patchset is 4"),
        (Scripted(patchset=2), Kind.SUPERSEDED, "the current patchset is 2"),
        (Scripted(messages=[(OURS, LATER.mark)]), Kind.SUPERSEDED, "later is newer"),
        (Scripted(messages=[(OURS, f"x\n\n{BUILDSET.mark}")]), Kind.THERE, ""),
        (
            Scripted(messages=[(OURS, BUILDSET.mark), (OURS, LATER.mark)]),
            Kind.THERE,
            "",
        ),
        (Scripted(failure=Refused(404, "Not found: 912345")), Kind.GONE, "does not exist"),
        (Scripted(answers=[Refused(404, "Not found")]), Kind.GONE, "does not exist"),
        (Scripted(answers=[Refused(409, "change is closed")]), Kind.CLOSED, "change is closed"),
        (Scripted(answers=[Refused(400, "bad")]), Kind.REFUSED, "400 bad"),
        (Scripted(answers=[Refused(403, "no"), Refused(403, "none")]), Kind.REFUSED, "403 none"),
    ],
)
def test_a_review_that_must_not_be_posted_is_not(client: Scripted, kind: Kind, text: str) -> None:
    outcome = try_(review_of(), client)
    assert outcome.kind is kind
    assert text in outcome.text
    assert client.posts == []


@pytest.mark.parametrize(
    "messages",
    [
        [(OTHERS, f"quoted\n{BUILDSET.mark}"), (OTHERS, LATER.mark)],
        [(OURS, EARLIER.mark)],
        [(OURS, replace(LATER, patchset=2).mark)],
        [(OURS, f"{LATER.mark}\n\nand more")],
    ],
)
def test_messages_of_others_and_of_older_buildsets_do_not_count(
    messages: list[tuple[int, str]],
) -> None:
    assert try_(review_of(), Scripted(messages=messages)) == Outcome(Kind.POSTED)


def test_a_label_that_the_account_may_not_set_is_left_out() -> None:
    client = Scripted(answers=[Refused(403, 'Applying label "Verified" is restricted')])
    outcome = try_(review_of(), client)
    assert outcome == Outcome(Kind.WITHOUT_VOTE, 'Applying label "Verified" is restricted')
    assert client.posts == [review_of(labels={})]


@pytest.mark.parametrize("set_", [{}, {"Verified": 0}, {"Other": 1}])
def test_a_label_that_gerrit_drops_is_noticed(set_: dict[str, int]) -> None:
    outcome = try_(review_of(), Scripted(answers=[set_]))
    assert outcome == Outcome(Kind.WITHOUT_VOTE, "Gerrit did not set the label Verified")


def test_comments_on_files_that_the_patchset_does_not_have_are_left_out() -> None:
    known, unknown = LineComment("a.py", 3, "Boom"), LineComment("b.py", 3, "Boom")
    client = Scripted()
    try_(review_of(comments=(known, unknown)), client)
    assert client.posts[0].comments == (known,)


def test_a_vote_that_raced_with_a_patchset_is_set_to_0() -> None:
    client = Scripted()
    client.answers.append(lambda: setattr(client, "patchset", 4))
    outcome = try_(review_of(), client)
    assert outcome.kind is Kind.POSTED
    assert "set to 0, because patchset 4" in outcome.text
    assert client.cleared == [review_of()]


def test_a_race_is_found_if_the_process_was_killed_after_the_post() -> None:
    client = Scripted(patchset=4, messages=[(OURS, BUILDSET.mark)])
    outcome = try_(review_of(), client)
    assert (outcome.kind, client.posts, client.cleared) == (Kind.THERE, [], [review_of()])


def test_a_vote_on_a_change_that_was_closed_at_the_same_time_stays() -> None:
    client = Scripted(patchset=4, status="ABANDONED", messages=[(OURS, BUILDSET.mark)])
    assert "stays: change is closed" in try_(review_of(), client).text


def test_a_comment_without_a_vote_is_not_cleared() -> None:
    client = Scripted()
    client.answers.append(lambda: setattr(client, "patchset", 4))
    assert try_(review_of(labels={}), client) == Outcome(Kind.POSTED)
    assert client.cleared == []


BRIEF = Retries(total=0.2, first=0.01, longest=0.01, jitter=0.01)


@dataclass
class Run:
    """A spool and the lines of its deliveries, with short pauses."""

    spool: Spool
    lines: list[str] = field(default_factory=list)

    def deliver(self, client: Scripted) -> Sequence[Outcome]:
        delivery = Delivery(self.spool, cast("Client", client), self.lines.append, retries=BRIEF)
        return [one.outcome for one in delivery.run()]

    @property
    def left(self) -> list[str]:
        return [entry.review.buildset.uuid for entry in self.spool.read()[0]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(Spool(tmp_path / "reviews"))


SOON = Limits(deadline=0.01)


@pytest.mark.parametrize("cuts", [1, 3])
def test_a_post_that_was_accepted_before_the_cut_is_not_repeated(run: Run, cuts: int) -> None:
    run.spool.add(SERVER, review_of())
    answers: list[Any] = [Unavailable("cut")] * cuts
    client = Scripted(answers=answers, limits=SOON)
    assert run.deliver(client) == [Outcome(Kind.THERE)]
    assert len(client.posts) == 1
    assert run.left == []


def test_an_unknown_post_is_not_looked_for_before_gerrit_must_have_given_up(run: Run) -> None:
    run.spool.add(SERVER, review_of())
    client = Scripted(answers=[Unavailable("cut")], limits=Limits(deadline=60))
    (outcome,) = run.deliver(client)
    assert outcome.kind is Kind.WAITING
    client.messages.clear()  # not there yet: Gerrit executes the request later
    (outcome,) = run.deliver(client)
    assert outcome == Outcome(Kind.WAITING, "an earlier post may still be in progress")
    assert len(client.posts) == 1
    assert run.left == ["8f3c"]


def test_what_cannot_be_posted_stays_and_does_not_delay_others(run: Run) -> None:
    other = review_of(replace(BUILDSET, change=5))
    run.spool.add(SERVER, review_of())
    run.spool.add(SERVER, other)
    client = Scripted(answers=[Refused(503, "")])
    client.answers[0] = Refused(400, "malformed")
    kinds = [outcome.kind for outcome in run.deliver(client)]
    assert sorted(kinds) == [Kind.POSTED, Kind.REFUSED]
    assert len(list((run.spool.folder / ASIDE).glob("*.json"))) == 1


def test_a_server_that_is_down_leaves_all_reviews_in_the_spool(run: Run) -> None:
    run.spool.add(SERVER, review_of())
    outcomes = run.deliver(Scripted(failure=Unavailable("the server answered 503")))
    assert outcomes == [Outcome(Kind.WAITING, "the server answered 503")]
    assert run.left == ["8f3c"]
    assert re.match(r"the server answered 503; trying again in \d+ s", run.lines[0])


def test_the_server_says_when_to_try_again(run: Run) -> None:
    run.spool.add(SERVER, review_of())
    outcomes = run.deliver(Scripted(failure=Unavailable("busy", after=30)))
    # The pause would be longer than the time that is left.
    assert [outcome.kind for outcome in outcomes] == [Kind.WAITING]
    assert run.lines == []


def test_the_time_of_the_next_try_is_known_after_one_round(run: Run) -> None:
    run.spool.add(SERVER, review_of())
    once = Retries(total=0)
    for failure in (Unavailable("busy", after=30), Unavailable("cut")):
        client = cast("Client", Scripted(failure=failure))
        delivery = Delivery(run.spool, client, run.lines.append, retries=once)
        delivery.run()
        assert delivery.after == failure.after
    run.spool.mark_sent(run.spool.read()[0][0])
    client = cast("Client", Scripted(limits=Limits(deadline=60)))
    delivery = Delivery(run.spool, client, run.lines.append, retries=once)
    delivery.run()
    assert 50 < delivery.after <= 60


def test_no_post_begins_while_bsdgate_is_stopped(run: Run) -> None:
    run.spool.add(SERVER, review_of())
    client = Scripted()
    delivery = Delivery(
        run.spool, cast("Client", client), run.lines.append, retries=BRIEF, stopping=lambda: True
    )
    assert [each.outcome.kind for each in delivery.run()] == [Kind.WAITING]
    assert client.posts == []
    assert run.left == ["8f3c"]


def test_refused_credentials_stop_all_posts(run: Run) -> None:
    run.spool.add(SERVER, review_of())
    run.spool.add(SERVER, review_of(replace(LATER, change=5)))
    with pytest.raises(Blocked):
        run.deliver(Scripted(failure=Blocked("no")))
    assert run.left == ["8f3c", "later"]


def test_an_older_buildset_is_not_posted_before_a_newer_one(run: Run) -> None:
    for each in (LATER, BUILDSET, EARLIER, replace(EARLIER, change=5)):
        run.spool.add(SERVER, review_of(each))
    client = Scripted()
    run.deliver(client)
    assert [(one.buildset.change, one.buildset.uuid) for one in client.posts] == [
        (5, "earlier"),
        (912345, "later"),
    ]
    assert run.left == []


def test_a_newer_buildset_waits_until_an_older_post_cannot_be_executed_any_more(run: Run) -> None:
    run.spool.mark_sent(run.spool.add(SERVER, review_of(EARLIER)))
    run.spool.add(SERVER, review_of())
    client = Scripted(limits=Limits(deadline=60))
    assert [outcome.kind for outcome in run.deliver(client)] == [Kind.WAITING, Kind.WAITING]
    client.limits = SOON
    assert run.deliver(client)[0].kind is Kind.SUPERSEDED
    assert [one.buildset for one in client.posts] == [BUILDSET]


def test_a_race_of_an_older_buildset_is_found_though_a_newer_one_waits(run: Run) -> None:
    run.spool.mark_sent(run.spool.add(SERVER, review_of()))
    newer = replace(LATER, patchset=4)
    run.spool.add(SERVER, review_of(newer))
    client = Scripted(patchset=4, messages=[(OURS, BUILDSET.mark)], limits=SOON)
    assert [outcome.kind for outcome in run.deliver(client)] == [Kind.THERE, Kind.POSTED]
    assert [one.buildset for one in client.cleared] == [BUILDSET]
    assert [one.buildset for one in client.posts] == [newer]


def test_a_clock_that_was_set_back_stops_no_post(run: Run) -> None:
    entry = run.spool.mark_sent(run.spool.add(SERVER, review_of()))
    assert entry.sent is not None
    run.spool._write(replace(entry, sent=entry.sent + timedelta(days=1)))
    assert run.deliver(Scripted()) == [Outcome(Kind.POSTED)]


def test_reviews_for_another_server_are_left(run: Run) -> None:
    run.spool.add("https://other.example.org", review_of())
    assert run.deliver(Scripted()) == []
    assert run.left == ["8f3c"]


def test_a_damaged_file_is_reported_and_others_are_posted(run: Run) -> None:
    run.spool.add(SERVER, review_of()).path.write_text("{")
    run.spool.add(SERVER, review_of(LATER))
    client = Scripted()
    assert run.deliver(client) == [Outcome(Kind.POSTED)]
    assert "is damaged" in run.lines[0]
    assert [one.buildset for one in client.posts] == [LATER]
