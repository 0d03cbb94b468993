# SPDX-License-Identifier: Apache-2.0
"""Tests that failed only because a class or module fixture did: how that is said, and read."""

from collections.abc import Iterable, Mapping

from bsdgate.results.model import Case, Outcome

_SAID = ": "


def by_fixture(fixture: Case) -> str:
    """The reason of a test that failed only because ``fixture`` did."""
    return f"{fixture.id}{_SAID}{fixture.reason}"


def members(fixtures: Iterable[Case], cases: Iterable[Case]) -> Mapping[str, tuple[str, ...]]:
    """The ids of the tests that failed only because a fixture did, by the fixture's id."""
    found: dict[str, list[str]] = {fixture.id: [] for fixture in fixtures}
    for case in cases if found else ():
        if case.outcome is Outcome.FAIL and not case.details:
            fixture, said, _ = (case.reason or "").partition(_SAID)
            if said and fixture in found:
                found[fixture].append(case.id)
    return {fixture: tuple(ids) for fixture, ids in found.items()}
