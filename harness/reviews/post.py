# SPDX-License-Identifier: Apache-2.0
"""One try to post a review, safe to repeat: the change is read before and after the post.

Gerrit accepts votes on old patchsets and on merged changes, drops unknown labels silently, and
accepts the same review twice; so all of that is checked here.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

import requests

from bsdgate.harness.reviews.client import Change, Client, Refused
from bsdgate.results.reporters.review import Buildset, Review, marked


class Kind(StrEnum):
    """The result of the delivery of a review."""

    POSTED = "posted"
    WITHOUT_VOTE = "posted without the vote"
    THERE = "already posted"
    SUPERSEDED = "superseded"
    CLOSED = "closed"
    GONE = "gone"
    REFUSED = "refused"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of the delivery of a review, and the reason."""

    kind: Kind
    text: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}" if self.text else str(self.kind)


def post(
    review: Review,
    client: Client,
    sending: Callable[[], None],
    replaced: Outcome | None = None,
) -> Outcome:
    """Post a review if it is not there yet, and if it is still the valid one.

    ``sending`` is called before each request that adds a message. ``replaced`` is the outcome if it
    is not there and must not be posted any more.

    :raises Unavailable: it is not known whether Gerrit has accepted it: call this again later.
    :raises Blocked: nothing can be posted with these credentials.
    """
    account = client.account
    try:
        change = client.change(review.buildset.change)
        known = list(posted(change, account))
        if review.buildset in known:
            return _confirmed(review, client, Outcome(Kind.THERE))
        unwanted = replaced or _unwanted(review, change, known)
        return unwanted or _post(review, client, sending)
    except Refused as refusal:
        return _refused(refusal)


def posted(change: Change, account: int) -> Iterator[Buildset]:
    """Yield the buildsets of the reviews that the account ``account`` has posted on a change.

    Messages of other accounts do not count: they may quote a review.
    """
    for message in change.messages:
        own = message.author is not None and message.author.account == account
        if own and (found := marked(message.message)):
            yield found


def _unwanted(review: Review, change: Change, known: list[Buildset]) -> Outcome | None:
    """Return why a review must not be posted; None if it may be posted."""
    if not change.is_open:
        return Outcome(Kind.CLOSED, f"the change is {change.status.lower()}")
    if change.patchset != review.buildset.patchset:
        return Outcome(Kind.SUPERSEDED, f"the current patchset is {change.patchset}")
    for other in known:
        if review.buildset.is_before(other):
            return Outcome(Kind.SUPERSEDED, f"buildset {other.uuid} is newer")
    return None


def _post(review: Review, client: Client, sending: Callable[[], None]) -> Outcome:
    fitting = _with_known_files(review, client)
    sending()
    try:
        labels = client.post(fitting)
    except Refused as refusal:
        if refusal.status != requests.codes.forbidden or not review.labels:
            raise
        sending()
        client.post(replace(fitting, labels={}))
        return Outcome(Kind.WITHOUT_VOTE, refusal.text)
    missing = [name for name, value in review.labels.items() if labels.get(name) != value]
    if missing:
        return Outcome(Kind.WITHOUT_VOTE, f"Gerrit did not set the label {', '.join(missing)}")
    return _confirmed(fitting, client, Outcome(Kind.POSTED))


def _with_known_files(review: Review, client: Client) -> Review:
    """Return the review without comments on files that the patchset does not have.

    Gerrit would refuse the whole review.
    """
    if not review.comments:
        return review
    files = client.files(review.buildset.change, review.buildset.patchset)
    return replace(review, comments=tuple(one for one in review.comments if one.path in files))


def _confirmed(review: Review, client: Client, outcome: Outcome) -> Outcome:
    """Return the outcome, after a vote on a patchset that is no longer current was set to 0."""
    if not review.labels:
        return outcome
    change = client.change(review.buildset.change)
    if change.patchset == review.buildset.patchset:
        return outcome
    text = f"the vote was set to 0, because patchset {change.patchset} came at the same time"
    try:
        client.clear(review)
    except Refused as refusal:
        text = f"the vote on an old patchset stays: {refusal.text}"
    return replace(outcome, text=text)


def _refused(refusal: Refused) -> Outcome:
    match refusal.status:
        case requests.codes.not_found:
            return Outcome(Kind.GONE, "the change does not exist, or the account may not see it")
        case requests.codes.conflict:
            return Outcome(Kind.CLOSED, refusal.text)
    return Outcome(Kind.REFUSED, f"{refusal.status} {refusal.text}")
