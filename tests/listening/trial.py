# SPDX-License-Identifier: Apache-2.0
"""A trial: buildsets end while servers fail, until each of them is settled."""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from fakes.zuul import PROJECT, verdict
from functional import gerrit
from functional.gerrit import Gerrit
from functional.mosquitto import LISTENER
from functional.place import wait_for
from votes.forking import Forker
from votes.plan import CLOSED_BEFORE, SUPERSEDED_BEFORE

from bsdgate.results.model import Result
from bsdgate.results.reporters.review import marked
from listening.check import Buildset, Change, check
from listening.plan import Ending, Event, Kind, Plan, Planned
from listening.running import Running
from listening.world import World, damage, world

SETTLED = 240.0
"""The maximum time in seconds until all buildsets are settled, on a busy machine."""

_FULL = 3.0
_STEP = 0.2
_ERROR = f"""Zuul encountered a syntax error. The problem was:

  extra keys not allowed

  in "{PROJECT}/a.txt@master", line 1
"""
_RESULTS = {Ending.PASS: "SUCCESS", Ending.FAIL: "FAILURE", Ending.NO_VERDICT: "SUCCESS"}
_VERDICTS = {Ending.PASS: Result.PASS, Ending.FAIL: Result.FAIL}


def forker() -> Forker:
    """Return a process that runs a listener at each start."""
    return Forker("listening.process")


@dataclass
class Trial:
    """A trial on a Gerrit, in a folder of its own."""

    plan: Plan
    server: Gerrit
    folder: Path
    forker: Forker
    changes: list[Change] = field(default_factory=list)
    buildsets: list[Buildset] = field(default_factory=list)
    starts: int = 0
    reviews: int = 0

    def run(self) -> list[str]:
        """Carry out the schedule; return what is wrong."""
        for state in self.plan.changes:
            self._add_change(state)
        with world(self.server, self.folder) as found:
            with Running(self.forker, found.configure().dump()) as running:
                schedule = _Schedule(self, found, running)
                problems = schedule.carry_out()
            self.starts = running.starts
            problems += _in_log(found.log.read_text())
        for change in self.changes:
            messages = self.server.messages(change.number)
            self.reviews += sum(marked(each) is not None for each in messages)
            problems += check(self.server, change, messages)
        return [f"seed {self.plan.seed}: {each}" for each in problems]

    def _add_change(self, state: str) -> None:
        change = Change(self.server.new_change(), closed=state == CLOSED_BEFORE)
        if change.closed:
            self.server.abandon(change.number)
        if state == SUPERSEDED_BEFORE:
            self.server.new_patchset(change.number)
            change.patchset += 1
        self.changes.append(change)


class _Schedule:
    """Lets everything of a trial happen."""

    def __init__(self, trial: Trial, found: World, running: Running) -> None:
        self._trial = trial
        self._world = found
        self._running = running
        self._began = datetime.now(UTC)
        self._choose = random.Random(trial.plan.seed)
        self._doing = self._actions()

    def carry_out(self) -> list[str]:
        """Let everything happen, and wait until all buildsets are settled; return what is wrong."""
        trial, zuul, proxy = self._trial, self._world.zuul, self._world.proxy
        if not self._until(lambda: self._world.inbox.seen().floor is not None, SETTLED):
            return ["the listener has not begun"]
        for planned in trial.plan.buildsets:
            self._add(trial.changes[planned.change], planned, ended=False)
        proxy.faults = {method: list(each) for method, each in trial.plan.faults.items()}
        proxy.new_patchset = lambda path: self._new_patchset(self._of(path)[0])
        proxy.raced = self._race
        proxy.abandon = self._abandon
        proxy.kill = self._running.kill
        zuul.answered = partial(self._answered, len(zuul.asked))
        for event in trial.plan.events:
            self._doing[event.kind](event)
            # The times between the events are a part of the plan.
            time.sleep(event.pause)
        for kind in (Kind.BROKER_UP, Kind.LOGS_UP, Kind.API_UP, Kind.GERRIT_UP):
            self._doing[kind](Event(kind))
        settled = self._until(self._is_settled, SETTLED)
        zuul.answered = lambda number: None
        if self._running.problem:
            return [self._running.problem]
        return [] if settled else [f"not settled after {SETTLED:g} s"]

    def _until(self, condition: Callable[[], bool], limit: float) -> bool:
        try:
            wait_for(
                lambda: condition() or self._running.problem,
                "the state of the listener",
                limit,
                _STEP,
            )
        except AssertionError:
            return False
        return not self._running.problem

    def _is_settled(self) -> bool:
        # A request that is still held may add a buildset.
        settled, proxy = self._world.has_settled_all, self._world.proxy
        return settled() and not proxy.handling and settled()

    def _actions(self) -> dict[Kind, Callable[[Event], None]]:
        broker, running = self._world.broker, self._running
        return {
            Kind.END: self._end,
            Kind.MESSAGE: self._publish,
            Kind.PATCHSET: lambda event: self._new_patchset(
                self._choose.choice(self._trial.changes)
            ),
            Kind.KILL: lambda event: running.kill(),
            Kind.STOP: lambda event: running.stop(),
            Kind.FULL: lambda event: self._fill(),
            Kind.DAMAGE_REVIEW: lambda event: running.kill(self._damage_review),
            Kind.DAMAGE_INBOX: lambda event: running.kill(partial(self._damage, "*.json")),
            Kind.DAMAGE_STATE: lambda event: running.kill(partial(self._damage, "seen.state")),
            Kind.BROKER_DOWN: lambda event: broker.stop(),
            Kind.BROKER_UP: lambda event: broker.start(),
            Kind.LOGS_DOWN: self._switch,
            Kind.LOGS_UP: self._switch,
            Kind.API_DOWN: self._switch,
            Kind.API_UP: self._switch,
            Kind.GERRIT_DOWN: self._switch,
            Kind.GERRIT_UP: self._switch,
        }

    def _end(self, event: Event) -> None:
        self._world.zuul.end(self._trial.buildsets[event.buildset].uuid)

    def _publish(self, event: Event) -> None:
        """Publish a message; it is lost if the broker does not run."""
        if self._world.broker.running:
            self._world.broker.publish(self._trial.buildsets[event.buildset].message)

    def _switch(self, event: Event) -> None:
        zuul, proxy = self._world.zuul, self._world.proxy
        match event.kind:
            case Kind.LOGS_DOWN | Kind.LOGS_UP:
                zuul.logs_unavailable = event.kind is Kind.LOGS_DOWN
            case Kind.API_DOWN | Kind.API_UP:
                zuul.api_unavailable = event.kind is Kind.API_DOWN
            case _:
                proxy.unavailable = event.kind is Kind.GERRIT_DOWN

    def _fill(self) -> None:
        self._until(lambda: bool(self._world.reviews), _FULL)

    def _damage_review(self) -> None:
        damage(self._world.reviews, self._choose)

    def _damage(self, pattern: str) -> None:
        damage(sorted(self._world.inbox.folder.glob(pattern)), self._choose)

    def _answered(self, first: int, number: int) -> None:
        """Kill the listener a moment after an answer of Zuul, if the plan says so."""
        if (pause := self._trial.plan.kills.get(number - first)) is not None:
            # The plan has the time of the kill, so that it comes at any point of the work.
            time.sleep(pause)
            self._running.kill()

    def _add(self, change: Change, planned: Planned, *, ended: bool) -> None:
        """Add a buildset, for the current patchset if it has ended, else for the first one."""
        place, patchset = len(self._trial.buildsets), change.patchset if ended else 1
        uuid, result = f"b{place}", _VERDICTS.get(planned.ending)
        found = Buildset(uuid, patchset, place, planned.ending, planned.artifact)
        found.message = self._world.zuul.add(
            uuid,
            change.number,
            verdict(change.number, patchset, result, run=f"run-{uuid}") if result else None,
            patchset=patchset,
            second=place,
            began=self._began,
            result=_RESULTS.get(planned.ending, planned.ending.value),
            message=_ERROR,
            ended=ended,
            artifact=planned.artifact,
        )
        self._trial.buildsets.append(found)
        change.buildsets.append(found)

    def _new_patchset(self, change: Change) -> None:
        with change.changing:
            if not change.closed:
                self._trial.server.new_patchset(change.number)
                change.patchset += 1
                self._add(change, Planned(0, Ending.PASS, artifact=True), ended=True)

    def _race(self, path: str) -> None:
        change, patchset = self._of(path)
        change.raced.add(patchset)

    def _abandon(self, path: str) -> None:
        change, _ = self._of(path)
        with change.changing:
            if not change.closed:
                self._trial.server.abandon(change.number)
                change.closed = change.abandoned = True

    def _of(self, path: str) -> tuple[Change, int]:
        """Return the change and the patchset of a request."""
        parts = path.split("/")
        (change,) = (each for each in self._trial.changes if each.number == int(parts[3]))
        return change, int(parts[5])


def _in_log(text: str) -> Iterator[str]:
    for bad in ("Traceback", "internal error", "is refused", gerrit.CI[1], LISTENER[1]):
        if bad in text:
            yield f"{bad} in the log:\n{text}"
