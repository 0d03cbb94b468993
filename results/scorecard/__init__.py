# SPDX-License-Identifier: Apache-2.0
"""The porting scorecard: which installed Tempest tests run on FreeBSD, by profile."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from itertools import takewhile
from typing import Final

from bsdgate.results import coverage
from bsdgate.results.model import RAN, Case, Feature, Outcome

# Prefixes of the ids of the tests that all skip if a service is absent.
_TESTS_OF: Final = {
    "cinder": ("tempest.api.volume.", "tempest.serial_tests.api.volume."),
    "glance": ("tempest.api.image.",),
    "ironic": ("ironic_tempest_plugin.",),
    "neutron": ("tempest.api.network.", "neutron_tempest_plugin."),
    "nova": ("tempest.api.compute.", "tempest.serial_tests.api.", "tempest.scenario."),
    "swift": ("tempest.api.object_storage.",),
}
_DEPTH: Final = 3


class Status(StrEnum):
    """The status of a test in a profile."""

    RUN = "run"
    SKIP = "expected skip"
    CANNOT = "cannot"
    TODO = "to do"


@dataclass(frozen=True, slots=True)
class Known:
    """The facts about the tests of a profile.

    ``selected`` are the ids that the suites run, ``excluded`` the ids that the suites exclude, with
    the reason. ``features`` are the option values of the profile that explain skips. ``cases`` has
    the most recent result of each test that ran or was skipped, by id.
    """

    profile: str
    selected: frozenset[str]
    excluded: Mapping[str, str]
    features: tuple[Feature, ...] = ()
    cases: Mapping[str, Case] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cell:
    """The status of one test in one profile, and the reason; for a test that ran, its failure."""

    id: str
    status: Status
    why: str = ""


@dataclass(frozen=True)
class Column:
    """The status of every test in one profile, sorted by test id."""

    profile: str
    places: tuple[Cell, ...]

    @cached_property
    def counts(self) -> Mapping[str, Counter[Status]]:
        """The number of tests with each status, by area."""
        found: dict[str, Counter[Status]] = {}
        for place in self.places:
            found.setdefault(area(place.id), Counter())[place.status] += 1
        return dict(sorted(found.items()))

    @cached_property
    def total(self) -> Counter[Status]:
        """The number of tests with each status, in all areas."""
        return Counter(place.status for place in self.places)

    def reasons(self) -> Iterator[tuple[Status, str, tuple[str, ...]]]:
        """Yield (status, reason, ids) by status, TODO first, then by number of ids, most first."""
        for status in reversed(Status):
            ids: dict[str, list[str]] = {}
            for place in self.places:
                if place.status is status and place.why:
                    ids.setdefault(place.why, []).append(place.id)
            for why, found in sorted(ids.items(), key=lambda item: (-len(item[1]), item[0])):
                yield status, why, tuple(found)


def score(ids: Iterable[str], profiles: Sequence[Known]) -> tuple[Column, ...]:
    """Return a column for each profile; ``ids`` are the ids of all installed tests."""
    ordered = sorted(set(ids))
    return tuple(Column(known.profile, tuple(_places(ordered, known))) for known in profiles)


def area(test_id: str) -> str:
    """Return the first packages of a test id, such as ``tempest.api.compute``."""
    packages = takewhile(lambda part: not part.startswith("test_"), test_id.split("."))
    return ".".join(list(packages)[:_DEPTH])


def _places(ids: Sequence[str], known: Known) -> Iterator[Cell]:
    explained = coverage.explanations(known.cases.values(), known.features)
    absent = _absent(known.features)
    for test in ids:
        case = known.cases.get(test)
        if case is not None and case.outcome in RAN:
            why = "" if case.outcome is Outcome.SUCCESS else _ended(case)
            yield Cell(test, Status.RUN, why)
        elif test in explained:
            yield Cell(test, Status.SKIP, explained[test])
        elif test in known.excluded:
            yield Cell(test, Status.CANNOT, known.excluded[test])
        elif case is not None:
            yield Cell(test, Status.TODO, _ended(case))
        elif why := next((why for start, why in absent.items() if test.startswith(start)), ""):
            yield Cell(test, Status.SKIP, why)
        elif test in known.selected:
            yield Cell(test, Status.TODO, "in a suite, but in none of the stored runs")
        else:
            yield Cell(test, Status.TODO, "in no suite, and not excluded")


def _absent(features: Iterable[Feature]) -> dict[str, str]:
    """Return the prefixes of tests of services that the profile lacks, each with the reason."""
    said = {feature.option: feature for feature in features}
    found: dict[str, str] = {}
    for service, starts in _TESTS_OF.items():
        feature = said.get(f"service_available.{service}")
        if feature is not None and feature.value.lower() == "false":
            found |= dict.fromkeys(starts, f"{feature.option} is false: {feature.reason}")
    return found


def _ended(case: Case) -> str:
    text = " ".join((case.reason or "").split())[:160]
    return f"{case.outcome}: {text}" if text else str(case.outcome)
