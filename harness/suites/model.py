# SPDX-License-Identifier: Apache-2.0
"""The model of a suite, and the selection of its tests."""

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self, TypeVar

from pydantic import Field, model_validator

from bsdgate.harness.errors import UsageError
from bsdgate.harness.profiles import settings
from bsdgate.harness.profiles.model import Exclusion, Name, Part, Pattern, ReasonText

_FOLDER = Path(__file__).parent
_ATTRIBUTES = re.compile(r"\[([^\[\]]*)\]$")


class Inclusion(Part):
    """Tests that the suite includes."""

    area: Name
    """The part of OpenStack for which the tests are counted."""
    tests: Pattern
    """A regular expression that is searched for in the ids of the tests."""
    tagged: Name | None = None
    """A Tempest attribute that the tests must have, such as smoke."""
    reason: ReasonText
    """Why the suite includes the tests."""


class Suite(Part):
    """A selection of tests for one runner."""

    name: Name
    """The name of the suite."""
    description: str = Field(min_length=1)
    """The suite in one line."""
    runner: Literal["tempest", "rally", "apichecks"]
    """The runner of the tests."""
    task: str | None = None
    """For Rally: the file under rally_tasks/ with the workloads."""
    credentials: Literal["dynamic", "pre-provisioned"] = "dynamic"
    """For Tempest: whether each test class makes its own users and projects, or uses accounts that
    the cloud has. In a cloud without accounts for tests, each class makes its own."""
    disruptive: ReasonText | None = None
    """Why the suite can disturb other users of the same cloud; null if it cannot."""
    includes: tuple[Inclusion, ...] = Field(min_length=1)
    """The tests that the suite includes."""
    excludes: tuple[Exclusion, ...] = ()
    """The included tests that are left out."""

    @model_validator(mode="after")
    def _settings_fit_the_runner(self) -> Self:
        if (self.runner == "rally") != (self.task is not None):
            raise ValueError(
                "a suite with the runner rally needs a task, and no other suite has one"
            )
        if self.runner == "rally" and "credentials" in self.model_fields_set:
            raise ValueError(
                "credentials are only for the runner tempest: Rally makes its own users"
            )
        return self


Rule = TypeVar("Rule", Inclusion, Exclusion)


@dataclass(frozen=True)
class Selection:
    """The tests that a suite selects, in the order of the list, and those that are left out."""

    ids: tuple[str, ...]
    areas: Mapping[str, str]
    """The area of each id that is selected or left out."""
    excluded: Mapping[str, str]
    """The reason for each id that the suite includes and an exclusion leaves out."""

    def counts(self) -> dict[str, tuple[int, int]]:
        """Return the numbers of selected tests and of tests that are left out, by area."""
        chosen = Counter(self.areas[test] for test in self.ids)
        left_out = Counter(self.areas[test] for test in self.excluded)
        return {area: (chosen[area], left_out[area]) for area in sorted(chosen | left_out)}


def names() -> list[str]:
    """Return the names of the suites that come with bsdgate."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def load(name: str) -> Suite:
    """Return the suite with a name.

    :raises UsageError: there is no such suite.
    :raises ConfigurationError: the suite is wrong.
    """
    if name not in names():
        near = difflib.get_close_matches(name, names(), n=1)
        question = f"did you mean {near[0]}? " if near else ""
        raise UsageError(f"there is no suite {name!r}", f"{question}Known: {', '.join(names())}")
    return settings.read(_FOLDER / f"{name}.yaml", Suite)


def select(
    suite: Suite,
    all_ids: Iterable[str],
    *,
    cannot: Sequence[Exclusion] = (),
    only: str | None = None,
) -> Selection:
    """Select tests from ``all_ids``, which have the form of ``tempest run --list-tests``.

    ``cannot`` are the exclusions of the profile. ``only`` is a regular expression that must be
    found in an id; all other ids are ignored, and not counted as left out.

    :raises UsageError: no test is selected, or ``only`` is not a regular expression.
    """
    narrow = _compiled(only or "")
    wanted = {
        test: inclusion.area
        for test in filter(narrow.search, all_ids)
        if (inclusion := _first_match(suite.includes, test)) is not None
    }
    excluded = {
        test: exclusion.reason
        for test in wanted
        if (exclusion := _first_match((*suite.excludes, *cannot), test)) is not None
    }
    chosen = tuple(test for test in wanted if test not in excluded)
    if not chosen:
        raise _nothing(suite, only, excluded)
    return Selection(chosen, wanted, excluded)


def check_pattern(only: str | None) -> None:
    """Raise UsageError if ``only`` is not a regular expression."""
    _compiled(only or "")


def attributes(test: str) -> frozenset[str]:
    """Return the attributes in the brackets after an id of Tempest."""
    found = _ATTRIBUTES.search(test)
    return frozenset(found[1].split(",") if found else ())


def _first_match(rules: Sequence[Rule], test: str) -> Rule | None:
    for rule in rules:
        if rule.tagged is not None and rule.tagged not in attributes(test):
            continue
        if re.search(rule.tests, test):
            return rule
    return None


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise UsageError(
            f"--tests {pattern!r} is not a regular expression: {error}",
            "put a backslash before special characters that are meant literally",
        ) from error


def _nothing(suite: Suite, only: str | None, excluded: Mapping[str, str]) -> UsageError:
    narrowed = f" with --tests {only!r}" if only else ""
    if excluded:
        reasons = "; ".join(sorted(set(excluded.values())))
        return UsageError(
            f"suite {suite.name}{narrowed} leaves out all of its {len(excluded)} tests: {reasons}",
            "choose other tests, or a profile that can run these",
        )
    return UsageError(
        f"suite {suite.name}{narrowed} selects no test",
        "list the ids with `tempest run --list-tests`, and install the plugin with these tests",
    )
