# SPDX-License-Identifier: Apache-2.0
"""Tests that failed only because a class or module fixture failed, and texts of failures."""

import re
from collections.abc import Iterable, Mapping

from bsdgate.results.model import Case

_FRAME = re.compile(r'^[ \t]*File "([^"\n]+)", line \d+, in (\S{1,100})', re.MULTILINE)
# Frames of helpers: the traceback of every assertion and every API error ends in a helper.
_HELPERS = re.compile(
    r"/(?:testtools|unittest|tempest/lib/(?:common/rest_client\.|services/\S*base))"
)
_MESSAGE_BOUND = 4000
"""The maximum number of characters of a fixture's message in the reasons of its tests."""


def innermost(details: str | None) -> str:
    """Return the innermost frame of the first traceback (`` @ file:function``), or empty.

    A frame of a helper is returned only if there is no other frame.
    """
    frames = _FRAME.findall(_first(details))
    own = [frame for frame in frames if not _HELPERS.search(frame[0])]
    for path, function in (own or frames)[-1:]:
        return f" @ {path.rpartition('/')[2]}:{function}"
    return ""


def message(case: Case) -> str:
    """Return the message of a failure in one line: the lines before its reason, then the reason.

    The first line has the kind of a Tempest exception, or the expected value of an assertion.
    """
    reason = case.reason or "failed"
    first = _first(case.details)
    *_, end = (0, *(frame.end() for frame in _FRAME.finditer(first)))
    lines = first[end:].split("\n") if end else []
    begin = next((n for n, line in enumerate(lines) if line[:1].strip()), len(lines))
    lines_before = [line.strip() for line in lines[begin:] if line.strip()]
    if lines_before and reason.startswith(lines_before[-1]):
        lines_before.pop()
    return " ".join([*lines_before, reason])


def _first(details: str | None) -> str:
    return (details or "").split("\n\n", 1)[0]


def inherited(failure: Case) -> str:
    """Return the reason of a test that failed only because the fixture ``failure`` failed."""
    return f"{failure.id}: {message(failure)[-_MESSAGE_BOUND:]}{innermost(failure.details)}"


def tests_of(failures: Iterable[Case], cases: Iterable[Case]) -> Mapping[str, tuple[str, ...]]:
    """Return the ids of tests that failed only because a fixture failed, by the fixture's id."""
    found: dict[str, list[str]] = {failure.id: [] for failure in failures}
    for case in cases if found else ():
        if case.setup_failure in found:
            found[case.setup_failure].append(case.id)
    return {failure: tuple(ids) for failure, ids in found.items()}
