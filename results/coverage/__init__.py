# SPDX-License-Identifier: Apache-2.0
"""Judges skips: whether each is explained, and whether fewer tests ran than in the last good run.

A skip is explained by the profile's value for the option that causes it (by Tempest's default, if
the profile has no value), or by the test itself (``rules``). Any other skip is lost coverage,
unless a known failure expects it.
"""

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
# The maximum number of listed skip reasons, and of characters of a skip reason.
_TEXTS: Final = 20
_TEXT_BOUND: Final = 160


def explanations(cases: Iterable[Case], features: Iterable[Feature]) -> dict[str, str]:
    """Return the explanation of each skipped case that has one, by test id.

    ``features`` are the values of options in the profile.
    """
    by_option = {feature.option: feature for feature in features}
    texts = _skip_texts(cases)
    known = {text: _explain(text, by_option) for text in set(texts.values())}
    return {test: why for test, text in texts.items() if (why := known[text]) is not None}


def lost(cases: Iterable[Case], explained: Container[str]) -> list[Reason]:
    """Return a note for each skip reason of the cases that are not in ``explained``.

    The message also shows whether ``unstable_test`` turned a failure into the skip.
    """
    by_text: dict[str, list[str]] = defaultdict(list)
    for test, text in _skip_texts(cases).items():
        if test not in explained:
            by_text[text if len(text) <= _TEXT_BOUND else f"{text[: _TEXT_BOUND - 1]}…"].append(
                test
            )
    ordered = sorted(by_text.items(), key=lambda item: (-len(item[1]), item[0]))
    reasons = [_loss(text, ids) for text, ids in ordered[:_TEXTS]]
    rest = [test for _, ids in ordered[_TEXTS:] for test in ids]
    if rest:
        reasons.append(_loss(f"{len(ordered) - _TEXTS} more reasons", rest))
    return reasons


def fewer_ran(
    cases: Collection[Case],
    baseline: Collection[str],
    *,
    same_versions: bool,
    explained: Container[str] = (),
) -> list[Reason]:
    """Compare the tests that ran with the tests in the last good run (``baseline``).

    ``explained`` has the ids of tests that need not run: the profile or suite leaves them out,
    their skip is explained, or a known failure expects the skip. Any other test of ``baseline``
    that did not run is an error if both runs had the same installed versions, else a note.
    """
    ran = {case.id for case in cases if case.outcome in RAN}
    wanted = {test for test in baseline if test in ran or test not in explained}
    vanished = tuple(sorted(wanted - renamed(baseline, ran).keys()))
    if not vanished:
        return []
    message = f"{count(vanished, 'test')} that ran in the last good run did not run"
    if same_versions:
        return [error(Code.FEWER_RAN, f"{message}, with the same versions", vanished)]
    return [note(Code.FEWER_RAN, message, vanished)]


def _skip_texts(cases: Iterable[Case]) -> dict[str, str]:
    skipped = (case for case in cases if case.outcome is Outcome.SKIP)
    return {case.id: " ".join((case.reason or "").split()) for case in skipped}


def _explain(text: str, features: Mapping[str, Feature]) -> str | None:
    text = _CLASS.sub("", text)
    if match := _UNSTABLE.match(text):
        inner = _explain(text[match.end() :], features)
        return inner and f"{inner} (reported as {match[1]})"
    for always in ALWAYS:
        if _match(always.texts, text):
            return always.reason
    for rule in RULES:
        if match := _match(rule.texts, text):
            option = rule.option.format(*filter(None, match.groups()))
            return _explain_by_option(rule, option, features)
    return None


def _match(patterns: Iterable[str], text: str) -> re.Match[str] | None:
    found = (re.fullmatch(pattern, text, re.IGNORECASE | re.DOTALL) for pattern in patterns)
    return next(filter(None, found), None)


def _explain_by_option(rule: Rule, option: str, features: Mapping[str, Feature]) -> str | None:
    """Return why the option does not have the needed value.

    Return None if the option has the needed value, or if the value is unknown.
    """
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
    if wants in {"true", "set", "false"}:
        return (value.strip().lower() in _OFF) is (wants == "false")
    return wants in [word.strip() for word in value.split(",")]


def _loss(text: str, ids: Collection[str]) -> Reason:
    made = "a failure reported as a skip" if _UNSTABLE.match(text) else "nothing explains it"
    message = f"{count(ids, 'test')} skipped, {made}: {text or 'no reason'}"
    return note(Code.COVERAGE_LOST, message, tuple(sorted(ids)))
