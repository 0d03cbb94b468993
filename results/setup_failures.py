# SPDX-License-Identifier: Apache-2.0
"""Tests that failed only because a class or module fixture failed, and what failures say."""

import re
from collections.abc import Iterable, Mapping

from bsdgate.results.model import Case

_FRAME = re.compile(r'^[ \t]*File "([^"\n]+)", line \d+, in (\S{1,100})', re.MULTILINE)
# Every assertion and every refusal of an API ends in these; its origin is further out.
_HELPERS = re.compile(
    r"/(?:testtools|unittest|tempest/lib/(?:common/rest_client\.|services/\S*base))"
)
_MESSAGE_BOUND = 4000
"""Characters of the message of a fixture that its tests repeat."""


def innermost(details: str | None) -> str:
    """Where a failure's first traceback ends, as `` @ file:function``; empty if it has none."""
    frames = _FRAME.findall(_first(details))
    own = [frame for frame in frames if not _HELPERS.search(frame[0])]
    for path, function in (own or frames)[-1:]:
        return f" @ {path.rpartition('/')[2]}:{function}"
    return ""


def message(case: Case) -> str:
    """What a failure says: its reason, and what stands before that in a message of several lines.

    The first line of Tempest's exceptions names their kind, that of assertions what was expected.
    """
    reason = case.reason or "failed"
    first = _first(case.details)
    *_, end = (0, *(frame.end() for frame in _FRAME.finditer(first)))
    lines = first[end:].split("\n") if end else []
    begin = next((n for n, line in enumerate(lines) if line[:1].strip()), len(lines))
    said = [line.strip() for line in lines[begin:] if line.strip()]
    if said and reason.startswith(said[-1]):
        said.pop()
    return " ".join([*said, reason])


def _first(details: str | None) -> str:
    return (details or "").split("\n\n", 1)[0]


def inherited(failure: Case) -> str:
    """The reason of a test that failed only because the class or module fixture ``failure`` did."""
    return f"{failure.id}: {message(failure)[-_MESSAGE_BOUND:]}{innermost(failure.details)}"


def tests_of(failures: Iterable[Case], cases: Iterable[Case]) -> Mapping[str, tuple[str, ...]]:
    """The ids of the tests that failed only because a fixture did, by the id of the fixture."""
    found: dict[str, list[str]] = {failure.id: [] for failure in failures}
    for case in cases if found else ():
        if case.setup_failure in found:
            found[case.setup_failure].append(case.id)
    return {failure: tuple(ids) for failure, ids in found.items()}
