# SPDX-License-Identifier: Apache-2.0
"""What is wrong with entries themselves, whatever the tests did."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from typing import Final

from bsdgate.results.expectations.entries import Expectation, Expectations
from bsdgate.results.expectations.scope import facts
from bsdgate.results.model import RAN, Code, Level, Outcome, Reason, Run, count
from bsdgate.results.policy import Policy

_LISTED: Final = 20


def complaints(entries: Sequence[Expectation], run: Run, day: date, policy: Policy) -> list[Reason]:
    """Reasons for entries that are invalid, and for those of this run that expired before ``day``.

    Their ids are what the entries call their tests. A note says which entries were left out
    because the run does not say what their scope asks for.
    """
    known = Expectations(entries, run)
    invalid = [(entry, f"no {' and no '.join(entry.lacks)}") for entry in entries if entry.lacks]
    expired = [
        (entry, f"{entry.expires}, {entry.owner or 'nobody'}")
        for entry in known.entries
        if entry.expires < day
    ]
    unsaid = [(entry, ", ".join(entry.unsaid(facts(run)))) for entry in known.unsaid]
    return [
        *_reasons(policy.invalid, Code.EXPECTATION_INVALID, "excused nothing", invalid),
        *_reasons(
            policy.expired, Code.EXPECTATION_EXPIRED, "expired: mend, renew or remove", expired
        ),
        *_reasons(
            Level.NOTE,
            Code.EXPECTATION_UNMATCHED,
            "left out, as the run does not say what their scope asks for",
            unsaid,
        ),
    ]


def unmatched(known: Expectations, tests: Iterable[tuple[str, Outcome]]) -> tuple[str, ...]:
    """The names of those entries of a run that spoke of none of its tests, given as they ended.

    Entries speak of tests that ran; those written for skips, of tests that were skipped too.
    """
    spoke: set[str] = set()
    for test, outcome in tests:
        if outcome in RAN or outcome is Outcome.SKIP:
            wanted = None if outcome in RAN else outcome
            spoke.update(entry.name for entry in known.of(test, wanted))
    return tuple(sorted({entry.name for entry in known.entries} - spoke))


def unmatched_note(
    known: Expectations, now: Collection[str], before: Mapping[str, int], at_least: int
) -> list[Reason]:
    """A note of the entries that matched nothing in ``at_least`` runs on end.

    ``now`` are the names of those of this run, ``before`` says in how many runs before it each
    name was among them, without a gap.
    """
    found = [
        (entry, entry.test)
        for entry in known.entries
        if entry.name in now and before.get(entry.name, 0) + 1 >= at_least
    ]
    said = f"matched nothing in {at_least} runs or more: correct or remove"
    return _reasons(Level.NOTE, Code.EXPECTATION_UNMATCHED, said, found)


def _reasons(
    level: Level, code: Code, said: str, found: Sequence[tuple[Expectation, str]]
) -> list[Reason]:
    if not found:
        return []
    places = [f"{entry.source or entry.test} ({why})" for entry, why in found[:_LISTED]]
    if len(found) > _LISTED:
        places.append(f"{len(found) - _LISTED} more")
    message = f"{count(found, 'known failure')} {said}: {'; '.join(places)}"
    return [Reason(level, code, message, tuple(sorted({entry.test for entry, _ in found})))]
