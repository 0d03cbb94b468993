# SPDX-License-Identifier: Apache-2.0
"""Separates explained skips from lost coverage."""

import re
from collections import defaultdict
from collections.abc import Collection, Container, Iterable, Mapping
from typing import Final

from bsdgate.results.coverage.rules import ALWAYS, RULES, Rule
from bsdgate.results.ids import renamed
from bsdgate.results.model import (
    RAN,
    Case,
    Code,
    Feature,
    Level,
    Outcome,
    Reason,
    count,
    error,
    note,
)

# Many skip reasons of Tempest begin with the name of the skipped class.
_CLASS: Final = re.compile(r"^\w+ skipped as ")
# tempest.lib.decorators.unstable_test turns a failure into a skip.
_UNSTABLE: Final = re.compile(
    r"Marked as unstable and skipped because of bug: (\S+), failure was: "
)
_OFF: Final = frozenset({"", "0", "false", "no", "none", "off"})
_TEXTS: Final = 20
_TEXT_BOUND: Final = 160


def explanations(cases: Iterable[Case], features: Iterable[Feature]) -> dict[str, str]:
    """Return the explanation of each skipped case that has one, by id.

    The configuration, or the test itself, can explain a skip.
    """
    by_option = {feature.option: feature for feature in features}
    known: dict[str, str | None] = {}
    found = {}
    for case in cases:
        if case.outcome is not Outcome.SKIP:
            continue
        text = " ".join((case.reason or "").split())
        if text not in known:
            known[text] = _explain(text, by_option)
        if (why := known[text]) is not None:
            found[case.id] = why
    return found


def lost(cases: Iterable[Case], explained: Container[str], level: Level) -> list[Reason]:
    """Return a reason of ``level`` for each skip text of cases that are not in ``explained``.

    The message also says if ``unstable_test`` turned a failure into the skip.
    """
    by_text: dict[str, list[str]] = defaultdict(list)
    for case in cases:
        if case.outcome is Outcome.SKIP and case.id not in explained:
            by_text[_shortened(" ".join((case.reason or "").split()))].append(case.id)
    ordered = sorted(by_text.items(), key=lambda item: (-len(item[1]), item[0]))
    reasons = [_loss(level, text, ids) for text, ids in ordered[:_TEXTS]]
    rest = [test for _, ids in ordered[_TEXTS:] for test in ids]
    if rest:
        reasons.append(_loss(level, f"{len(ordered) - _TEXTS} more texts", rest))
    return reasons


def fewer_ran(
    cases: Collection[Case],
    baseline: Collection[str],
    *,
    same_versions: bool,
    explained: Container[str] = (),
) -> list[Reason]:
    """Compare the tests that ran with those that ran in the last good run (``baseline``).

    ``explained`` are ids that need not run: left out by the profile or suite, skipped with an
    explanation, or expected to skip by a known failure. Any other test that did not run is an
    error if the versions are the same, else a note.
    """
    ran = {case.id for case in cases if case.outcome in RAN}
    wanted = {test for test in baseline if test in ran or test not in explained}
    vanished = tuple(sorted(wanted - renamed(baseline, ran).keys()))
    if not vanished:
        return []
    message = f"{count(vanished, 'test')} that ran in the last good run did not run"
    if same_versions:
        return [error(Code.FEWER_RAN, f"{message}, of the same versions", vanished)]
    return [note(Code.FEWER_RAN, message, vanished)]


def _explain(text: str, features: Mapping[str, Feature]) -> str | None:
    text = _CLASS.sub("", text)
    if match := _UNSTABLE.match(text):
        inner = _explain(text[match.end() :], features)
        return inner and f"{inner} (reported as {match[1]})"
    for always in ALWAYS:
        if any(_matches(pattern, text) for pattern in always.texts):
            return always.reason
    for rule in RULES:
        for pattern in rule.texts:
            if match := _matches(pattern, text):
                option = rule.option.format(*filter(None, match.groups()))
                return _explain_by_option(rule, option, features)
    return None


def _matches(pattern: str, text: str) -> re.Match[str] | None:
    return re.fullmatch(pattern, text, re.IGNORECASE | re.DOTALL)


def _explain_by_option(rule: Rule, option: str, features: Mapping[str, Feature]) -> str | None:
    """Return why the option lacks the needed value; None if it has it or its value is unknown."""
    feature = features.get(option)
    value = rule.default if feature is None else feature.value
    if value is None or _has(value, rule.wants):
        return None
    if feature is None:
        return f"{option} is {value or 'not set'}, the default of Tempest"
    return f"{option} is {value}: {feature.reason}"


def _has(value: str, wants: str | int) -> bool:
    if isinstance(wants, int):
        return value.isdecimal() and int(value) >= wants
    if wants in {"true", "set"}:
        return value.strip().lower() not in _OFF
    if wants == "false":
        return value.strip().lower() in _OFF
    return wants in [word.strip() for word in value.split(",")]


def _shortened(text: str) -> str:
    return text if len(text) <= _TEXT_BOUND else f"{text[: _TEXT_BOUND - 1]}…"


def _loss(level: Level, text: str, ids: Collection[str]) -> Reason:
    made = "a failure that upstream hides" if _UNSTABLE.match(text) else "nothing explains it"
    message = f"{count(ids, 'test')} skipped, {made}: {text or 'no text'}"
    return Reason(level, Code.COVERAGE_LOST, message, tuple(sorted(ids)))
