# SPDX-License-Identifier: Apache-2.0
"""Selects and orders the parts of a verdict that the HTML report shows, and limits their size."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from bsdgate.results.ids import bare
from bsdgate.results.model import Case, Outcome, Verdict
from bsdgate.results.reporters.failures import Failure, Group, groups
from bsdgate.results.reporters.servicelogs import Lines, requests_of

FAILURES_BOUND: Final = 500
ROWS_BOUND: Final = 10_000
"""The maximum number of failures, and of rows of the table of tests."""

DETAILS_BOUND: Final = 3_000_000
"""The maximum number of characters of tracebacks and captured logs on the page."""

DETAILS_LEAST: Final = 2_000
"""The maximum for one failure after DETAILS_BOUND is reached."""

REQUESTS_SHOWN: Final = 12
"""The maximum number of request ids shown for a failure."""

_TAGS = re.compile(r"\[(?:[\w-]+,)*id-[0-9a-f-]{36}(?:,[\w-]+)*\]")
# An attachment begins with its name, after an empty line.
_NAMED = r"[\w.:'\-]{1,80}:"
_ATTACHMENT = re.compile(rf"\n\n(?={_NAMED}\n)")
# oslo.context's part of a line: two request ids, user, project, domains.
_CONTEXT = re.compile(r"\[(?:None |req-[0-9a-f-]{36} )?(req-[0-9a-f]{8})[0-9a-f-]{28}( [^\]]*)?\]")


@dataclass(frozen=True, slots=True)
class IdParts:
    """The parts of a test's id: ``tempest.api.x.``, ``TestX.test_y``, ``[id-...,smoke]``."""

    module: str
    name: str
    tags: str

    @property
    def variant(self) -> str:
        """The tags; empty if they are only attributes, such as ``id-…`` of every Tempest test."""
        return "" if _TAGS.fullmatch(self.tags) else self.tags


@dataclass(frozen=True, slots=True)
class ShownFailure:
    """A failure as shown: its attachments, its request ids, and lines that services logged."""

    anchor: str
    failure: Failure
    texts: tuple[tuple[str, str], ...]
    requests: list[str]
    logged: Lines


@dataclass(frozen=True, slots=True)
class Sections:
    """The failures that are shown, by group (cause), and in it by signature.

    ``anchors`` has the HTML anchor of a failure, by test id. ``total`` is the number of all
    failures, ``left_out`` the number of those that are not shown.
    """

    groups: tuple[tuple[Group, list[list[ShownFailure]]], ...]
    anchors: Mapping[str, str]
    total: int
    left_out: int


def split(test_id: str) -> IdParts:
    """Split an id into the module, the class with the test, and the tags."""
    head = bare(test_id)
    parts = head.rsplit(".", 2)
    module = f"{parts[0]}." if len(parts) > 2 else ""  # noqa: PLR2004 (a module, a class, a test)
    return IdParts(module, head[len(module) :], test_id[len(head) :])


def rows(verdict: Verdict) -> Sequence[Case]:
    """Return all cases; if there are too many, ROWS_BOUND cases, with successes last."""
    if len(verdict.cases) <= ROWS_BOUND:
        return verdict.cases
    return sorted(verdict.cases, key=lambda case: case.outcome is Outcome.SUCCESS)[:ROWS_BOUND]


def sections(verdict: Verdict, logs: Mapping[str, Lines]) -> Sections:
    """Select the failures that are shown, and the parts of each."""
    found = groups(verdict)
    failures = [failure for group in found for failure in group]
    shown = _prepare(failures[:FAILURES_BOUND], logs)
    anchors: dict[str, str] = {}
    for one in shown:
        anchors.setdefault(one.failure.case.id, one.anchor)
    # ``shown`` has the failures in the order of the groups, up to FAILURES_BOUND.
    rest = iter(shown)
    by_group = tuple(
        (group, list(filter(None, (list(islice(rest, len(alike))) for alike in group.alike))))
        for group in found
    )
    return Sections(by_group, anchors, len(failures), len(failures) - len(shown))


def _prepare(failures: Sequence[Failure], logs: Mapping[str, Lines]) -> list[ShownFailure]:
    shown = []
    left = DETAILS_BOUND
    for number, failure in enumerate(failures, 1):
        case = failure.case
        room = max(left, DETAILS_LEAST)
        left -= min(room, len(case.details or ""))
        shown.append(
            ShownFailure(
                anchor=f"failure-{number}",
                failure=failure,
                texts=_attachments(_cut(case.details or "", room)),
                requests=requests_of(case)[-REQUESTS_SHOWN:],
                logged=logs.get(case.id, Lines()),
            )
        )
    return shown


def _cut(details: str, room: int) -> str:
    if len(details) <= room:
        return details
    # The traceback comes first, and the exception is at its end.
    head, _, rest = details.partition("\n\n")
    kept = f"{head[-room:]}\n\n{rest[:room]}"[:room]
    return f"{kept}\n[... {len(details) - len(kept)} characters cut: see evidence/ ...]"


def _attachments(details: str) -> tuple[tuple[str, str], ...]:
    found = []
    for part in _ATTACHMENT.split(details.rstrip()):
        name, newline, text = part.partition("\n")
        named = newline and re.fullmatch(_NAMED, name)
        found.append((name[:-1].removesuffix(":''"), text) if named else ("", part))
    return tuple((name, text) for name, text in found if text.strip())


def short_context(line: str) -> str:
    """Return a line of a log with its context replaced by the start of the request id."""
    return _CONTEXT.sub(r"[\1]", line)
