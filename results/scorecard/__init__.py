# SPDX-License-Identifier: Apache-2.0
"""The porting scorecard: which tests of the installed Tempest run on FreeBSD, by profile."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from itertools import takewhile
from typing import Final

from bsdgate.results import coverage
from bsdgate.results.model import RAN, Case, Feature, Outcome

# Prefixes of the tests of each service; they all skip if the service is absent.
_TESTS_OF: Final = {
    "cinder": ("tempest.api.volume.", "tempest.serial_tests.api.volume."),
    "glance": ("tempest.api.image.",),
    "ironic": ("ironic_tempest_plugin.",),
    "neutron": ("tempest.api.network.", "neutron_tempest_plugin."),
    "nova": ("tempest.api.compute.", "tempest.serial_tests.api.", "tempest.scenario."),
    "swift": ("tempest.api.object_storage.",),
}
_DEPTH: Final = 3


class Standing(StrEnum):
    """The state of a test with a profile."""

    RUN = "run"
    SKIP = "expected skip"
    CANNOT = "cannot"
    TODO = "to do"


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a profile's tests.

    ``selected`` are the ids that its suites run, ``excluded`` those that they exclude, with the
    reason. ``features`` are the values in the profile that explain skips; ``cases`` are the last
    cases, by id.
    """

    profile: str
    selected: frozenset[str]
    excluded: Mapping[str, str]
    features: tuple[Feature, ...] = ()
    cases: Mapping[str, Case] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Place:
    """The standing of one test with one profile, and why; for RUN, the failure if it failed."""

    id: str
    standing: Standing
    why: str = ""


@dataclass(frozen=True)
class Column:
    """All tests with one profile, in the order of their ids."""

    profile: str
    places: tuple[Place, ...]

    @cached_property
    def counts(self) -> Mapping[str, Counter[Standing]]:
        """The number of tests of each standing, by area."""
        found: dict[str, Counter[Standing]] = {}
        for place in self.places:
            found.setdefault(area(place.id), Counter())[place.standing] += 1
        return dict(sorted(found.items()))

    @cached_property
    def total(self) -> Counter[Standing]:
        """The number of tests of each standing."""
        return Counter(place.standing for place in self.places)

    def reasons(self) -> Iterator[tuple[Standing, str, tuple[str, ...]]]:
        """Yield (standing, reason, ids): TODO first, and the most common reasons first."""
        for standing in reversed(Standing):
            ids: dict[str, list[str]] = {}
            for place in self.places:
                if place.standing is standing and place.why:
                    ids.setdefault(place.why, []).append(place.id)
            for why, found in sorted(ids.items(), key=lambda item: (-len(item[1]), item[0])):
                yield standing, why, tuple(found)


def score(ids: Iterable[str], profiles: Sequence[Known]) -> tuple[Column, ...]:
    """Return a column for each profile, with the standing of every id; ``ids`` are all tests."""
    ordered = sorted(set(ids))
    return tuple(Column(known.profile, tuple(_places(ordered, known))) for known in profiles)


def area(test_id: str) -> str:
    """The part of Tempest, or of a plugin, that a test belongs to: its first packages."""
    packages = takewhile(lambda part: not part.startswith("test_"), test_id.split("."))
    return ".".join(list(packages)[:_DEPTH])


def _places(ids: Sequence[str], known: Known) -> Iterator[Place]:
    explained = coverage.explanations(known.cases.values(), known.features)
    absent = _absent(known.features)
    for test in ids:
        case = known.cases.get(test)
        if case is not None and case.outcome in RAN:
            why = "" if case.outcome is Outcome.SUCCESS else _ended(case)
            yield Place(test, Standing.RUN, why)
        elif test in explained:
            yield Place(test, Standing.SKIP, explained[test])
        elif test in known.excluded:
            yield Place(test, Standing.CANNOT, known.excluded[test])
        elif case is not None:
            yield Place(test, Standing.TODO, _ended(case))
        elif why := next((why for start, why in absent.items() if test.startswith(start)), ""):
            yield Place(test, Standing.SKIP, why)
        elif test in known.selected:
            yield Place(test, Standing.TODO, "selected, but in none of the stored runs")
        else:
            yield Place(test, Standing.TODO, "in no suite, without a reason")


def _absent(features: Iterable[Feature]) -> dict[str, str]:
    """Return the prefixes of the ids of services that the profile declares absent, and why."""
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
