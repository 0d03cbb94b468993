# SPDX-License-Identifier: Apache-2.0
"""A verdict's failures in the order in which a reader wants them: by whose doing, then alike."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bsdgate.results import attribution, fixtures
from bsdgate.results.model import Case, Cause, Finding, Level, Outcome, Verdict

KNOWN: Final = "known"
"""The group of failures that an expectation excuses: nobody looks for their cause."""

_TITLES: Final = {
    Cause.CHANGE: ("The change", "These fail with the change and pass without it."),
    Cause.UNKNOWN: (
        "Not attributed",
        "Nothing shows whose these are; they are judged like the change's.",
    ),
    Cause.NODE: (
        "The machine",
        "The machine or a service failed under these tests; they say nothing of the change.",
    ),
    Cause.HARNESS: (
        "The evidence",
        "The evidence of this run is not whole, so nobody can tell whose these are.",
    ),
    Cause.BASE: ("The base", "These fail in the same way with no change applied."),
    Cause.FLAKE: ("Flakes", "These ended in another way when they were run again."),
    KNOWN: ("Known failures", "Each is excused by an entry with a bug, an owner and a last day."),
}

_RELEASE: Final = (
    "Not a change: the release itself fails",
    "No change was under test; these failed each time in the same way.",
)

_MOSTLY: Final = 3
"""Failures alike from which on they can be what most of a run's have in common."""

_EXCUSABLE: Final = frozenset({Cause.BASE, Cause.FLAKE, KNOWN})


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure; ``members`` are the tests that a failed fixture took with it.

    Failures that are alike have one ``signature``.
    """

    case: Case
    finding: Finding | None = None
    members: tuple[str, ...] = ()
    signature: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """The failures of one cause, those with one signature side by side, the most frequent first.

    ``decides`` is false where all of them are excused, so that a report can fold the group away.
    """

    cause: str
    title: str
    meaning: str
    decides: bool
    alike: tuple[tuple[Failure, ...], ...]

    def __iter__(self) -> Iterator[Failure]:
        """Give the failures one by one."""
        for failures in self.alike:
            yield from failures

    def __len__(self) -> int:
        return sum(map(len, self.alike))


def groups(verdict: Verdict) -> tuple[Group, ...]:
    """Group everything that failed: fixtures, tests, and excused and duplicated failures."""
    found: dict[str, list[Failure]] = defaultdict(list)
    for failure in _failures(verdict):
        found[_cause(failure)].append(failure)
    deciding = blamed(verdict)
    return tuple(
        Group(
            cause,
            *(_TITLES[cause] if verdict.run.changed or cause != Cause.BASE else _RELEASE),
            decides=cause not in _EXCUSABLE
            or any(failure.case.id in deciding for failure in found[cause]),
            alike=_alike(found[cause]),
        )
        for cause in _TITLES
        if cause in found
    )


def mostly(verdict: Verdict) -> str:
    """Say in a line what more than half of all failures have in common; empty if nothing."""
    alike = [each for group in groups(verdict) if group.decides for each in group.alike]
    largest = max(alike, key=len, default=())
    total = sum(map(len, alike))
    if len(largest) < _MOSTLY or 2 * len(largest) <= total:
        return ""
    said = largest[0].case.reason or largest[0].signature
    return f"{len(largest)} of {total} failures are alike: {said}"


def blamed(verdict: Verdict) -> frozenset[str]:
    """The ids that a reason for FAIL or ERROR is about."""
    deciding = (reason.ids for reason in verdict.reasons if reason.level is not Level.NOTE)
    return frozenset(test_id for ids in deciding for test_id in ids)


def _failures(verdict: Verdict) -> list[Failure]:
    findings = {finding.id: finding for finding in verdict.findings}
    members = fixtures.members(verdict.fixtures, verdict.cases)
    spoken_for = {test_id for ids in members.values() for test_id in ids}
    found = [
        Failure(
            fixture,
            _shared(findings, members[fixture.id]),
            members[fixture.id],
            attribution.signature(fixture),
        )
        for fixture in verdict.fixtures
    ]
    for case in verdict.cases:
        failed = case.outcome is Outcome.FAIL and case.id not in spoken_for
        if failed or case.details or (case.id in findings and case.id not in spoken_for):
            finding = findings.get(case.id)
            found.append(Failure(case, finding, (), finding.signature if finding else ""))
    return found


def _shared(findings: Mapping[str, Finding], ids: Iterable[str]) -> Finding | None:
    """The finding of a fixture: that of its tests, if they have one cause."""
    found = [findings[test_id] for test_id in ids if test_id in findings]
    return found[0] if len({finding.cause for finding in found}) == 1 else None


def _cause(failure: Failure) -> str:
    if failure.case.outcome is Outcome.XFAIL:
        return KNOWN
    return failure.finding.cause if failure.finding else Cause.UNKNOWN


def _alike(failures: Sequence[Failure]) -> tuple[tuple[Failure, ...], ...]:
    by_signature: dict[str, list[Failure]] = defaultdict(list)
    for number, failure in enumerate(failures):
        by_signature[failure.signature or f"\n{number}"].append(failure)
    # The sort is stable: fixtures stay before tests, and tests in the order of their ids.
    return tuple(tuple(alike) for alike in sorted(by_signature.values(), key=len, reverse=True))
