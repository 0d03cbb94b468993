# SPDX-License-Identifier: Apache-2.0
"""Posts all reviews of a spool, in rounds, until each of them is settled or the time is over."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import tenacity

from bsdgate.harness.reviews.client import Client, InProgress, Unavailable
from bsdgate.harness.reviews.post import Kind, Outcome, post
from bsdgate.harness.reviews.spool import Entry, Spool


@dataclass(frozen=True, slots=True)
class Settled:
    """A review of the spool, and the result of its delivery."""

    entry: Entry
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Retries:
    """For how long posts are tried again, in seconds, and the pauses between two rounds.

    Each pause is twice as long as the last one, with up to ``jitter`` more: several clients do not
    come back together.
    """

    total: float = 300.0
    first: float = 1.0
    longest: float = 60.0
    jitter: float = 2.0


class _Waiting(Exception):
    """Reviews are left; ``after`` is when the server asks to try again."""

    def __init__(self, why: str, after: float) -> None:
        super().__init__(why)
        self.after = after


class Delivery:
    """Posts the reviews of a spool to one server.

    ``report`` gets a line about each event that somebody may have to know.
    """

    def __init__(
        self,
        spool: Spool,
        client: Client,
        report: Callable[[str], None],
        *,
        retries: Retries | None = None,
        stopping: Callable[[], bool] = lambda: False,
        on_damage: Callable[[Path], None] | None = None,
    ) -> None:
        """Post nothing yet. No other post begins when ``stopping`` returns true.

        ``on_damage`` is called with the path of each damaged file before it is set aside.
        """
        self._spool: Final = spool
        self._client: Final = client
        self._report: Final = report
        self._retries: Final = retries or Retries()
        self._stopping: Final = stopping
        self._on_damage: Final = on_damage
        self.damaged = 0
        """The number of damaged files that ``run`` has set aside."""
        self.after = 0.0
        """The seconds after which to try again, as far as that is known, if reviews wait."""

    def run(self) -> list[Settled]:
        """Post all reviews for the server. The caller has locked the spool.

        Reviews that could not be posted stay in the spool, and have the outcome WAITING.

        :raises Blocked: the server does not accept the account; the reviews stay in the spool.
        """
        entries, problems = self._spool.read(self._on_damage)
        self.damaged = len(problems)
        for problem in problems:
            self._report(problem)
        pending = {one.path: one for one in entries if one.server == self._client.server}
        settled: list[Settled] = []
        try:
            for attempt in self._attempts():
                with attempt:
                    self._round(pending, settled)
        except _Waiting as waiting:
            self.after = waiting.after
            settled += [
                Settled(one, Outcome(Kind.WAITING, str(waiting))) for one in pending.values()
            ]
        return settled

    def _attempts(self) -> tenacity.Retrying:
        retries = self._retries
        backoff = tenacity.wait_exponential_jitter(
            multiplier=retries.first, max=retries.longest, jitter=retries.jitter
        )

        def wait(state: tenacity.RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            return max(backoff(state), error.after if isinstance(error, _Waiting) else 0)

        def announce(state: tenacity.RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            self._report(f"{error}; trying again in {state.upcoming_sleep:.0f} s")

        return tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_Waiting),
            wait=wait,
            stop=tenacity.stop_before_delay(retries.total),
            before_sleep=announce,
            reraise=True,
        )

    def _round(self, pending: dict[Path, Entry], settled: list[Settled]) -> None:
        """Try each review once; move those that are settled from ``pending`` to ``settled``."""
        failures: list[Unavailable] = []
        for path, entry in list(pending.items()):
            try:
                outcome = self._post(entry, pending)
            except Unavailable as error:
                failures.append(error)
                continue
            self._settle(entry, outcome)
            del pending[path]
            settled.append(Settled(entry, outcome))
        if failures:
            raise _waiting(failures)

    def _post(self, entry: Entry, pending: dict[Path, Entry]) -> Outcome:
        if self._stopping():
            raise Unavailable("bsdgate is being stopped")
        replaced = _replaced(entry, pending.values())
        if replaced and entry.sent is None:
            return replaced
        # An older review of the change must not be executed after this one.
        change = entry.review.buildset.change
        same = [one for one in pending.values() if one.review.buildset.change == change]
        if (left := max(map(self._in_progress, same))) > 0:
            raise InProgress("an earlier post may still be in progress", left)

        def sending() -> None:
            pending[entry.path] = self._spool.mark_sent(entry)

        return post(entry.review, self._client, sending, replaced)

    def _in_progress(self, entry: Entry) -> float:
        """Return for how many seconds Gerrit may still execute an earlier post of the review."""
        if entry.sent is None:
            return 0
        age = (datetime.now(UTC) - entry.sent).total_seconds()
        # Without a limit, a clock that was set back would stop all posts.
        return self._client.limits.deadline - age if age >= 0 else 0

    def _settle(self, entry: Entry, outcome: Outcome) -> None:
        if outcome.kind is Kind.REFUSED:
            kept = self._spool.set_aside(entry, str(outcome))
            self._report(f"{entry}: {outcome}; kept as {kept}")
        else:
            self._spool.remove(entry)
            self._report(f"{entry}: {outcome}")


def _waiting(failures: list[Unavailable]) -> _Waiting:
    """Return the last failure of the server, else the post that ends first."""
    failed = [each for each in failures if not isinstance(each, InProgress)]
    if failed:
        return _Waiting(failed[-1].message, max(each.after for each in failed))
    first = min(failures, key=lambda each: each.after)
    return _Waiting(first.message, first.after)


def _replaced(entry: Entry, pending: Iterable[Entry]) -> Outcome | None:
    """Return the outcome of a review that must not follow another one in the spool."""
    own = entry.review.buildset
    for other in (each.review.buildset for each in pending):
        if own.change == other.change and own.is_before(other):
            return Outcome(Kind.SUPERSEDED, f"buildset {other.uuid} is newer")
    return None
