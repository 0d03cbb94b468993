# SPDX-License-Identifier: Apache-2.0
"""Asks Zuul's API for buildsets that have ended.

A message that Zuul sends while the broker is down is lost, so the messages alone are not enough.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from bsdgate.harness.listen.inbox import Inbox
from bsdgate.harness.listen.settings import Settings
from bsdgate.harness.listen.zuul import Api, Buildset

FORGET: Final = timedelta(days=7)
"""A buildset that has not ended after this time is not waited for any more."""


class Poll:
    """Finds buildsets that have ended and are not settled."""

    def __init__(
        self,
        settings: Settings,
        api: Api,
        inbox: Inbox,
        report: Callable[[str], None],
    ) -> None:
        """Ask no server yet."""
        self._settings: Final = settings
        self._api: Final = api
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
        # The file in the inbox may have been damaged too, and the id may be below the floor.
        for uuid in filter(self._inbox.add, seen.again):
            self._report(f"buildset {uuid} is judged again")
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
