# SPDX-License-Identifier: Apache-2.0
"""Reasons of the verdict for entries that are invalid, have expired or match no test."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from typing import Final

from bsdgate.results.expectations.entries import Expectation, Expectations
from bsdgate.results.model import RAN, Code, Level, Outcome, Reason, Run, count
from bsdgate.results.policy import Policy

_LISTED: Final = 20


def entry_reasons(
    entries: Sequence[Expectation], run: Run, day: date, policy: Policy
) -> list[Reason]:
    """Return reasons for invalid entries, and for entries in scope that expired before ``day``.

    The ids of a reason are the tests of the entries. A note lists the entries that are not applied
    only because the run has no value for a key of their scope.
    """
    known = Expectations(entries, run)
    invalid = [(one, f"no {' and no '.join(one.missing)}") for one in entries if one.missing]
    expired = [
        (one, f"{one.expires}, {one.owner or 'no owner'}")
        for one in known.entries
        if one.expires < day
    ]
    renew = "expired: fix the cause, renew or remove"
    without = "not applied, because the run has no value for a key of the scope"
    return [
        *_reasons(policy.invalid, Code.EXPECTATION_INVALID, "excused nothing", invalid),
        *_reasons(policy.expired, Code.EXPECTATION_EXPIRED, renew, expired),
        *_reasons(Level.NOTE, Code.EXPECTATION_UNMATCHED, without, known.undecided),
    ]


def unmatched_names(known: Expectations, tests: Iterable[tuple[str, Outcome]]) -> tuple[str, ...]:
    """Return the names of the entries in ``known`` that matched none of ``tests``.

    An entry matches tests that ran; an entry for a skip also matches tests that were skipped.
    """
    matched = {
        entry.name
        for test, outcome in tests
        if outcome in RAN or outcome is Outcome.SKIP
        for entry in known.of(test, None if outcome in RAN else outcome)
    }
    return tuple(sorted({entry.name for entry in known.entries} - matched))


def unmatched_note(
    known: Expectations, now: Collection[str], before: Mapping[str, int], at_least: int
) -> list[Reason]:
    """Return a note of the entries that matched no test in ``at_least`` consecutive runs.

    ``now`` has the names of the entries that matched no test in this run. ``before`` has, by name,
    the number of consecutive runs before this one in which the entry matched no test.
    """
    found = [
        (entry, entry.test)
        for entry in known.entries
        if entry.name in now and before.get(entry.name, 0) + 1 >= at_least
    ]
    text = f"matched no test in {at_least} runs or more: correct or remove"
    return _reasons(Level.NOTE, Code.EXPECTATION_UNMATCHED, text, found)


def _reasons(
    level: Level, code: Code, text: str, found: Sequence[tuple[Expectation, str]]
) -> list[Reason]:
    if not found:
        return []
    places = [f"{entry.source or entry.test} ({why})" for entry, why in found[:_LISTED]]
    if len(found) > _LISTED:
        places.append(f"{len(found) - _LISTED} more")
    message = f"{count(found, 'known failure')} {text}: {'; '.join(places)}"
    return [Reason(level, code, message, tuple(sorted({entry.test for entry, _ in found})))]
