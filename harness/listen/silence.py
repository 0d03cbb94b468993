# SPDX-License-Identifier: Apache-2.0
"""Finds what has no report within its deadline: the listener notices its own silence.

It compares the patchsets of Gerrit with the buildsets of Zuul, and these with the reviews. It
starts no work, unless the settings say that Zuul is asked to enqueue a patchset that it has missed.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from math import ceil, inf
from typing import Final

import requests

from bsdgate.harness.listen import rules
from bsdgate.harness.listen.events import SUBSCRIBED, Events, Patchset
from bsdgate.harness.listen.inbox import Inbox
from bsdgate.harness.listen.settings import Settings
from bsdgate.harness.listen.zuul import Api, Buildset
from bsdgate.harness.reviews.client import Client, Refused
from bsdgate.harness.reviews.post import posted

CHECKED: Final = 10_000
"""The number of patchsets that are remembered as checked."""

_DAY: Final = timedelta(days=1)


class Silence:
    """What is overdue. The patchsets come from Gerrit's events, and from queries if these lack."""

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
        self._deadline: Final = timedelta(
            seconds=max(one.deadline for one in settings.pipelines.values())
        )
        self._patchsets: Final[dict[int, Patchset]] = {}
        self._checked: Final[set[tuple[int, int]]] = set()
        self._adding: Final = threading.Lock()
        self._queried = -inf
        self.events: Events | None = None
        """The reader of Gerrit's events, if there is one."""

    def add(self, patchset: Patchset) -> None:
        """Expect a report on a patchset; another thread may call this."""
        if patchset.project not in self._settings.watch:
            return
        with self._adding:
            known = self._patchsets.get(patchset.change)
            if known is None or known.number < patchset.number:
                self._patchsets[patchset.change] = patchset

    def overdue(self, running: Sequence[Buildset]) -> list[str]:
        """Return what has no report within its deadline, and report what is new.

        :raises Unavailable: Gerrit does not answer.
        :raises NoAnswer: Zuul's API does not answer.
        """
        seen = self._inbox.seen()
        missed = dict(self._missing())
        found = [*self._late(running), *missed]
        for line in found:
            if line not in seen.warned:
                self._report(f"warning: {line}")
                if (patchset := missed.get(line)) is not None:
                    self._enqueue(patchset)
        if tuple(found) != seen.warned:
            self._inbox.remember(self._inbox.seen().model_copy(update={"warned": tuple(found)}))
        return found

    def _late(self, running: Sequence[Buildset]) -> Iterator[str]:
        now = datetime.now(UTC)
        for one in running:
            deadline = self._settings.pipelines[one.pipeline].deadline
            if now - one.began > timedelta(seconds=deadline):
                what = ", ".join(f"{ref.change},{ref.patchset}" for ref in one.refs)
                since = one.began.isoformat(timespec="seconds")
                yield f"{what}: buildset {one.uuid} runs since {since}, over its deadline"

    def _missing(self) -> Iterator[tuple[str, Patchset | None]]:
        """Yield what is wrong with patchsets, each with the patchset if Zuul has missed it."""
        if not self._settings.watch:
            return
        self._query_if_needed()
        # The times of Gerrit are whole seconds.
        now, since = datetime.now(UTC), self._inbox.seen().since.replace(microsecond=0)
        with self._adding:
            expected = list(self._patchsets.values())
        for patchset in expected:
            is_due = now - patchset.uploaded > self._deadline
            is_new = (patchset.change, patchset.number) not in self._checked
            if not (is_due and is_new):
                continue
            problems = [] if patchset.uploaded < since else list(self._problems(patchset))
            if not problems:
                self._forget(patchset)
            for line, missed in problems:
                yield line, patchset if missed else None

    def _query_if_needed(self) -> None:
        """Ask Gerrit for patchsets if its events may lack some."""
        began = self.events.began if self.events is not None else None
        if began is not None and self._queried > began + SUBSCRIBED:
            return
        hours = ceil((self._deadline + _DAY).total_seconds() / 3600)
        moment = time.monotonic()
        for one in self._client.recent(self._settings.watch, hours):
            self.add(Patchset(one.project, one.number, one.patchset, one.uploaded))
        self._queried = moment

    def _problems(self, patchset: Patchset) -> Iterator[tuple[str, bool]]:
        """Yield what is wrong with a patchset, and whether Zuul has missed it."""
        try:
            change = self._client.change(patchset.change)
        except Refused:
            return
        if not change.is_open or change.patchset != patchset.number:
            return
        query = {"change": patchset.change, "patchset": patchset.number}
        found = [
            one for one in self._api.buildsets(**query) if one.pipeline in self._settings.pipelines
        ]
        if not found:
            yield f"{patchset}: Zuul has no buildset for it", True
        newest = max(found, key=lambda one: one.id, default=None)
        if newest is None or newest.result is None or newest.result in rules.SILENT:
            return
        reviewed = {each.uuid for each in posted(change, self._client.account)}
        if not reviewed & {one.uuid for one in found}:
            yield f"{patchset}: buildset {newest.uuid} has ended, but it has no review", False
        yield from self._vanished(patchset, newest)

    def _vanished(self, patchset: Patchset, newest: Buildset) -> Iterator[tuple[str, bool]]:
        required = self._settings.required.get(patchset.project, ())
        buildset = self._api.buildset(newest.uuid) if required else None
        if buildset is None or buildset.result not in rules.ENDED:
            return
        present = {each.job_name for each in buildset.builds}
        for job in required:
            if job not in present:
                yield f"{patchset}: buildset {newest.uuid} lacks the job {job}", False

    def _forget(self, patchset: Patchset) -> None:
        with self._adding:
            if len(self._checked) >= CHECKED:
                self._checked.clear()
            self._checked.add((patchset.change, patchset.number))
            if self._patchsets.get(patchset.change) == patchset:
                del self._patchsets[patchset.change]

    def _enqueue(self, patchset: Patchset) -> None:
        """Ask Zuul to enqueue a patchset, in the pipelines that the settings name."""
        for name, pipeline in self._settings.pipelines.items():
            if pipeline.enqueue:
                status = self._api.enqueue(patchset.project, str(patchset), name)
                done = "" if status == requests.codes.ok else f": Zuul answers {status}"
                self._report(f"{patchset}: enqueued in {name}{done}")
