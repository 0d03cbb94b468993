# SPDX-License-Identifier: Apache-2.0
"""Tests that failed only because a class or module fixture did: how that is said, and read."""

import re
from collections.abc import Iterable, Mapping

from bsdgate.results.model import Case, Outcome

_SAID = ": "
_FRAME = re.compile(r'^[ \t]*File "(?:[^"]*/)?([^"/]+)", line \d+, in (\S+)', re.MULTILINE)


def innermost(details: str | None) -> str:
    """Where a failure's first traceback ends, as `` @ file:function``; empty if it has none."""
    frames = _FRAME.findall((details or "").split("\n\n", 1)[0])
    return f" @ {frames[-1][0]}:{frames[-1][1]}" if frames else ""


def by_fixture(fixture: Case) -> str:
    """The reason of a test that failed only because ``fixture`` did."""
    return f"{fixture.id}{_SAID}{fixture.reason}{innermost(fixture.details)}"


def members(fixtures: Iterable[Case], cases: Iterable[Case]) -> Mapping[str, tuple[str, ...]]:
    """The ids of the tests that failed only because a fixture did, by the fixture's id."""
    found: dict[str, list[str]] = {fixture.id: [] for fixture in fixtures}
    for case in cases if found else ():
        if case.outcome is Outcome.FAIL and not case.details:
            fixture, said, _ = (case.reason or "").partition(_SAID)
            if said and fixture in found:
                found[fixture].append(case.id)
    return {fixture: tuple(ids) for fixture, ids in found.items()}
