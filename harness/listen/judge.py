# SPDX-License-Identifier: Apache-2.0
"""Judges one buildset: asks Zuul about it, fetches its verdicts, and makes its reviews."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bsdgate.harness.listen import rules
from bsdgate.harness.listen.inbox import Item
from bsdgate.harness.listen.logs import Logs, LogsUnavailableError
from bsdgate.harness.listen.returned import File, UnusableError, has_document
from bsdgate.harness.listen.rules import Subject
from bsdgate.harness.listen.settings import Settings
from bsdgate.harness.listen.zuul import Api, Buildset
from bsdgate.harness.reviews.client import Client, Refused
from bsdgate.results.reporters import gerrit, review
from bsdgate.results.reporters.gerrit import About
from bsdgate.results.reporters.review import LineComment, Review

RUNS_ON: Final = 900.0
"""The seconds after which a message about the end of a buildset that still runs is wrong."""


class RejectedError(Exception):
    """A message is about no buildset of Zuul's API that has ended: nothing is posted."""


class NotYetError(Exception):
    """A buildset has not ended in Zuul's API, or a log server does not answer: try again later."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A buildset of Zuul's API, and its reviews; none if nothing is to be posted."""

    buildset: Buildset
    reviews: tuple[Review, ...]


class Judge:
    """Makes the reviews of buildsets."""

    def __init__(self, settings: Settings, api: Api, logs: Logs, client: Client) -> None:
        """Ask no server yet."""
        self._settings: Final = settings
        self._api: Final = api
        self._logs: Final = logs
        self._client: Final = client
        about = settings.about
        self._about: Final = About(about.recheck, about.contact, about.wiki)

    def judge(self, item: Item) -> Judged:
        """Return the reviews of a buildset.

        :raises RejectedError: Zuul does not know the buildset, or it is not for this listener.
        :raises NotYetError: it has no result yet, or a log server is away.
        :raises NoAnswer: Zuul's API does not answer.
        """
        buildset = self._api.buildset(item.uuid)
        if buildset is None:
            raise RejectedError("Zuul's API has no such buildset")
        if buildset.pipeline not in self._settings.pipelines:
            raise RejectedError(f"the pipeline {buildset.pipeline} is not in the settings")
        if buildset.result is None:
            if item.age > RUNS_ON:
                raise RejectedError(f"Zuul's API has no result of it after {RUNS_ON:.0f} s")
            raise NotYetError("Zuul's API has no result of the buildset yet")
        early = not _fitting(item, buildset) and item.age < self._settings.zuul.grace
        if early and not all(has_document(each.artifacts) for each in buildset.builds):
            raise NotYetError("the message about the buildset may still come")
        return Judged(buildset, tuple(self._reviews(item, buildset)))

    def _reviews(self, item: Item, buildset: Buildset) -> Iterator[Review]:
        if buildset.result in rules.SILENT:
            return
        changes = list(rules.subjects(buildset))
        for change in changes:
            identity = review.Buildset(
                change.change, change.patchset, buildset.uuid, buildset.began
            )
            if len(changes) > 1:
                text = ", ".join(f"{each.change},{each.patchset}" for each in changes)
                head = "NO VOTE, because Zuul tested several changes together."
                yield gerrit.notice(head, text, identity, self._about)
            elif buildset.result in rules.ENDED and buildset.builds:
                yield self._of_builds(item, buildset, change, identity)
            else:
                yield self._notice(buildset, change, identity)

    def _of_builds(
        self, item: Item, buildset: Buildset, change: Subject, identity: review.Buildset
    ) -> Review:
        fitting, fetch = _fitting(item, buildset), self._fetching(item)
        data = {
            each.uuid: [builds[each.uuid] for builds in fitting if each.uuid in builds]
            for each in buildset.builds
        }
        found = rules.builds(buildset, change, data, self._settings, fetch)
        return gerrit.review(found, identity, self._about, self._settings.gerrit.label)

    def _fetching(self, item: Item) -> Callable[[str, File], bytes]:
        """Return a function that fetches a file.

        After ``give_up`` seconds, a server that does not answer means that there is no verdict.
        """
        given_up = item.age >= self._settings.zuul.give_up

        def fetch(log_url: str, file: File) -> bytes:
            try:
                return self._logs.fetch(log_url, file)
            except LogsUnavailableError as error:
                if given_up:
                    raise UnusableError(f"its log server is away: {error}") from error
                raise NotYetError(str(error)) from error

        return fetch

    def _notice(self, buildset: Buildset, change: Subject, identity: review.Buildset) -> Review:
        meaning = rules.NOTICES.get(
            buildset.result or "", f"Zuul ended the buildset with {buildset.result}"
        )
        label = self._settings.gerrit.label
        vote = 0
        comments: tuple[LineComment, ...] = ()
        if buildset.result == "CONFIG_ERROR":
            vote, comments = self._placed(buildset.message, change)
        if vote and label:
            head = f"FAIL: {meaning}, in a line of this change."
            labels = {label: vote}
        else:
            head = f"NO VOTE, because {meaning}. This says nothing about the change."
            labels = {}
        return gerrit.notice(
            head, buildset.message, identity, self._about, labels=labels, comments=comments
        )

    def _placed(self, text: str, change: Subject) -> tuple[int, tuple[LineComment, ...]]:
        """Return -1 if the change has written the line of an error, and the comment on its line."""
        found = rules.place(text, change.project)
        if found is None:
            return 0, ()
        path, line = found
        try:
            if path not in self._client.files(change.change, change.patchset):
                return 0, ()
            own = line in self._client.lines(change.change, change.patchset, path)
        except Refused:
            # The post will be refused too, with the reason.
            return 0, ()
        message = f"Zuul's configuration is wrong here. {rules.problem(text)}".strip()
        return (-1 if own else 0), (LineComment(path, line, message),)


def _fitting(item: Item, buildset: Buildset) -> list[Mapping[str, Mapping[str, Any]]]:
    """Return the returned data by build of each message that has only builds of the buildset."""
    known = {each.uuid: each.job_name for each in buildset.builds}
    return [
        {uuid: build.returned_data for uuid, build in builds.items()}
        for builds in item.messages
        if all(known.get(uuid) == build.job_name for uuid, build in builds.items())
    ]
