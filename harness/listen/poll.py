# SPDX-License-Identifier: Apache-2.0
"""Asks Zuul's API for buildsets that have ended, and Gerrit for patchsets without a report.

A message that Zuul sends while the broker is down is lost, so the messages alone are not enough.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Final

from bsdgate.harness.listen.inbox import Inbox
from bsdgate.harness.listen.settings import Settings
from bsdgate.harness.listen.zuul import Api, Buildset
from bsdgate.harness.reviews.client import Client

FORGET: Final = timedelta(days=7)
"""A buildset that has not ended after this time is not waited for any more."""


class Poll:
    """Finds buildsets that have ended and are not settled, and what is overdue."""

    def __init__(
        self,
        settings: Settings,
        api: Api,
        client: Client,
        inbox: Inbox,
        report: Callable[[str], None],
    ) -> None:
        """Ask no server yet."""
        self._settings: Final = settings
        self._api: Final = api
        self._client: Final = client
        self._inbox: Final = inbox
        self._report: Final = report

    def buildsets(self) -> list[Buildset]:
        """Store each buildset that has ended and is not settled; return those that run.

        At the first start, only buildsets that run or begin later count.

        :raises NoAnswer: Zuul's API does not answer.
        """
        seen = self._inbox.seen()
        floor = seen.floor if seen.floor is not None else self._first(seen.since)
        found = [
            each
            for name in self._settings.pipelines
            for each in self._api.buildsets(pipeline=name, idx_min=floor)
        ]
        horizon = datetime.now(UTC) - FORGET
        running = [one for one in found if one.result is None and one.began > horizon]
        for one in found:
            if one.result is not None and one.uuid not in seen.done and self._inbox.add(one.uuid):
                self._report(f"found buildset {one.uuid} in Zuul's API")
        # A buildset of a lower id may end after those of higher ids.
        left = [one.id for one in running]
        left += [one.id for one in found if one.result is not None and one.uuid not in seen.done]
        newest = max([one.id + 1 for one in found], default=floor)
        floor = min(left, default=newest)
        done = {uuid: number for uuid, number in seen.done.items() if number >= floor}
        self._inbox.remember(seen.model_copy(update={"floor": floor, "done": done}))
        return running

    def _first(self, since: datetime) -> int:
        """Return the lowest id of the buildsets that run or began later, or the next id."""
        moment = since.isoformat(timespec="seconds")
        self._report(f"buildsets that run or began after {moment} count")
        found: list[Buildset] = []
        for name in self._settings.pipelines:
            for page in self._api.pages(pipeline=name):
                found += page
                if page[-1].began < since:
                    break
        runs = datetime.now(UTC) - FORGET
        counting = [one.id for one in found if one.began >= (runs if one.result is None else since)]
        return min(counting, default=max((one.id for one in found), default=0) + 1)

    def overdue(self, running: list[Buildset]) -> list[str]:
        """Return what has no report within its deadline, and report what is new.

        :raises Unavailable: Gerrit does not answer.
        :raises NoAnswer: Zuul's API does not answer.
        """
        found = [*self._late(running), *self._missing()]
        seen = self._inbox.seen()
        for line in found:
            if line not in seen.warned:
                self._report(f"warning: {line}")
        if tuple(found) != seen.warned:
            self._inbox.remember(seen.model_copy(update={"warned": tuple(found)}))
        return found

    def _late(self, running: list[Buildset]) -> Iterator[str]:
        now = datetime.now(UTC)
        for one in running:
            deadline = self._settings.pipelines[one.pipeline].deadline
            if now - one.began > timedelta(seconds=deadline):
                what = ", ".join(f"{ref.change},{ref.patchset}" for ref in one.refs)
                since = one.began.isoformat(timespec="seconds")
                yield f"{what}: buildset {one.uuid} runs since {since}, over its deadline"

    def _missing(self) -> Iterator[str]:
        """Yield the patchsets for which no pipeline has a buildset after its deadline."""
        if not self._settings.watch:
            return
        deadline = timedelta(seconds=max(one.deadline for one in self._settings.pipelines.values()))
        now, since = datetime.now(UTC), self._inbox.seen().since
        hours = ceil((deadline + timedelta(days=1)).total_seconds() / 3600)
        for change in self._client.recent(self._settings.watch, hours):
            if change.uploaded < since or now - change.uploaded < deadline:
                continue
            query = {"change": change.number, "patchset": change.patchset}
            found = self._api.buildsets(**query)
            if not any(one.pipeline in self._settings.pipelines for one in found):
                yield f"{change.number},{change.patchset}: Zuul has no buildset for it"
