# SPDX-License-Identifier: Apache-2.0
"""The failures of a verdict, grouped by cause, then by signature (equal for equal failures)."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from bsdgate.results.model import Case, Cause, Disposition, Excuse, Outcome, Verdict

_TITLES: Final[Mapping[Cause | Excuse, tuple[str, str]]] = {
    Cause.CHANGE: ("The change", "These fail with the change and pass without it."),
    Cause.UNKNOWN: (
        "Not attributed",
        "The cause of these is not known; they count as if the change caused them.",
    ),
    Cause.NODE: (
        "The machine",
        "The machine or a service failed during these tests; the change is not the cause.",
    ),
    Cause.HARNESS: (
        "The evidence",
        "The results of this run are incomplete, so the cause cannot be found.",
    ),
    Cause.BASE: ("The base (without the change)", "These fail in the same way without the change."),
    Cause.FLAKE: ("Flakes", "These ended differently when they were run again."),
    Excuse.KNOWN_FAILURE: (
        "Known failures",
        "Each is excused by an entry with a bug, an owner and an expiry date.",
    ),
}

_RELEASE: Final = (
    "Not a change: the release itself fails",
    "No change was under test; these failed each time in the same way.",
)

_MOSTLY: Final = 3
"""The minimum number of equal failures that ``mostly`` reports."""

_EXCUSABLE: Final = frozenset({Cause.BASE, Cause.FLAKE, Excuse.KNOWN_FAILURE})


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure of a test, or of a class or module fixture; ``disposition``: how it was judged."""

    case: Case
    disposition: Disposition


@dataclass(frozen=True, slots=True)
class Group:
    """The failures of one cause.

    ``alike`` has the failures by signature, the most frequent signature first. ``decides`` is
    false if all failures are excused, so that a report can collapse the group.
    """

    cause: Cause | Excuse
    title: str
    meaning: str
    decides: bool
    alike: tuple[tuple[Failure, ...], ...]

    def __iter__(self) -> Iterator[Failure]:
        """Iterate over the failures."""
        return chain.from_iterable(self.alike)

    def __len__(self) -> int:
        return sum(map(len, self.alike))


def groups(verdict: Verdict) -> tuple[Group, ...]:
    """Group all failures: of fixtures and tests, also excused and duplicated ones."""
    found: dict[Cause | Excuse, list[Failure]] = defaultdict(list)
    for failure in _failures(verdict):
        known = failure.disposition.excuse is Excuse.KNOWN_FAILURE
        found[Excuse.KNOWN_FAILURE if known else failure.disposition.cause].append(failure)
    return tuple(
        Group(
            cause,
            *(_TITLES[cause] if verdict.run.changed or cause is not Cause.BASE else _RELEASE),
            decides=cause not in _EXCUSABLE
            or any(failure.disposition.counts for failure in found[cause]),
            alike=_alike(found[cause]),
        )
        for cause in _TITLES
        if cause in found
    )


def mostly(verdict: Verdict) -> str:
    """Return a line about a signature that more than half of the failures have, or empty."""
    alike = [each for group in groups(verdict) if group.decides for each in group.alike]
    largest = max(alike, key=len, default=())
    total = sum(map(len, alike))
    if len(largest) < _MOSTLY or 2 * len(largest) <= total:
        return ""
    said = largest[0].case.reason or largest[0].disposition.signature
    return f"{len(largest)} of {total} failures are alike: {said}"


def _failures(verdict: Verdict) -> Iterator[Failure]:
    by_id = {one.id: one for one in verdict.dispositions}
    shown_with = {failure.id for failure in verdict.setup_failures}
    for failure in verdict.setup_failures:
        yield Failure(failure, by_id[failure.id])
    for case in verdict.cases:
        failed = case.outcome is Outcome.FAIL and case.setup_failure not in shown_with
        if (failed or case.details) and case.id in by_id:
            yield Failure(case, by_id[case.id])


def _alike(failures: Sequence[Failure]) -> tuple[tuple[Failure, ...], ...]:
    by_signature: dict[str, list[Failure]] = defaultdict(list)
    for number, failure in enumerate(failures):
        by_signature[failure.disposition.signature or f"\n{number}"].append(failure)
    # The sort is stable: fixtures stay before tests, and tests in the order of their ids.
    return tuple(tuple(alike) for alike in sorted(by_signature.values(), key=len, reverse=True))
