# SPDX-License-Identifier: Apache-2.0
"""Tests that did not end within their own time limit or the time limit of the attempt."""

import re
from collections.abc import Set
from itertools import chain
from typing import Final

from bsdgate.results.model import Attempt, Case, Code, Outcome, State

NOT_ENDED: Final = "the test did not end in time"
"""The signature (the compared text) of every failure that a time limit caused.

The signature has no place in the code, because a waiting test is at another place each time.
"""

# The exception that Tempest's base class raises in a test after OS_TEST_TIMEOUT seconds.
_ALARM: Final = "fixtures._fixtures.timeout.TimeoutException"
_RAISED: Final = re.compile(rf"(?:^|; ){re.escape(_ALARM)}\b")
# The reason of the case that ``not_ended`` returns.
_REASON: Final = re.compile(r"did not end within \S+ s$")


def time_was_up(attempt: Attempt) -> bool:
    """Return whether the harness ended the attempt because its time limit was reached."""
    return attempt.state is State.ENDED and any(
        problem.code is Code.TIME_LIMIT for problem in attempt.problems
    )


def unfinished(attempt: Attempt) -> Set[str]:
    """Return the requested tests that were in progress at the time limit of the attempt."""
    if not time_was_up(attempt):
        return set()
    begun = (problem.ids for problem in attempt.problems if problem.code is Code.IN_PROGRESS)
    return set(chain.from_iterable(begun)).intersection(attempt.asked)


def not_ended(test_id: str, seconds: float, details: str | None = None) -> Case:
    """Return the failed case of a test that did not end within ``seconds``."""
    return Case(test_id, Outcome.FAIL, reason=f"did not end within {seconds:g} s", details=details)


def timed_out(case: Case) -> bool:
    """Return whether the case failed because a time limit ended its test."""
    reason, details = case.reason or "", case.details or _ALARM
    ended = _RAISED.search(reason) or (_REASON.match(reason) and _ALARM in details)
    return case.outcome is Outcome.FAIL and bool(ended)
