# SPDX-License-Identifier: Apache-2.0
"""The parts of a verdict that the HTML report shows, in its order and within bounds."""

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
DETAILS_BOUND: Final = 3_000_000
"""Characters of tracebacks and captured logs on the page; beyond that, a failure's last ones."""

DETAILS_LEAST: Final = 2_000
REQUESTS_SHOWN: Final = 12

_TAGS = re.compile(r"\[(?:[\w-]+,)*id-[0-9a-f-]{36}(?:,[\w-]+)*\]")
# An attachment begins with its name, after an empty line.
_NAMED = r"[\w.:'\-]{1,80}:"
_ATTACHMENT = re.compile(rf"\n\n(?={_NAMED}\n)")
# oslo.context's part of a line: two request ids, user, project, domains.
_CONTEXT = re.compile(r"\[(?:None |req-[0-9a-f-]{36} )?(req-[0-9a-f]{8})[0-9a-f-]{28}( [^\]]*)?\]")


@dataclass(frozen=True, slots=True)
class Name:
    """A test's id taken apart: ``tempest.api.x.`` ``TestX.test_y`` ``[id-...,smoke]``."""

    module: str
    name: str
    tags: str

    @property
    def variant(self) -> str:
        """The tags, or empty if they are Tempest's attributes, which do not distinguish tests."""
        return "" if _TAGS.fullmatch(self.tags) else self.tags


@dataclass(frozen=True, slots=True)
class ShownFailure:
    """One failure as shown: its attachments, the requests it names, what services logged."""

    anchor: str
    failure: Failure
    texts: tuple[tuple[str, str], ...]
    requests: list[str]
    logged: Lines


@dataclass(frozen=True, slots=True)
class Sections:
    """The failures shown, in their groups, those with one signature side by side.

    ``anchors`` lead to them by test id. Of ``total`` failures ``left_out`` are not shown.
    """

    groups: tuple[tuple[Group, list[list[ShownFailure]]], ...]
    anchors: Mapping[str, str]
    total: int
    left_out: int


def split(test_id: str) -> Name:
    """Split an id into module, class with test, and tags."""
    head = bare(test_id)
    parts = head.rsplit(".", 2)
    module = f"{parts[0]}." if len(parts) > 2 else ""  # noqa: PLR2004 (a module, a class, a test)
    return Name(module, head[len(module) :], test_id[len(head) :])


def rows(verdict: Verdict) -> Sequence[Case]:
    """Return all cases in order, or the first ROWS_BOUND, those without success first."""
    if len(verdict.cases) <= ROWS_BOUND:
        return verdict.cases
    return sorted(verdict.cases, key=lambda case: case.outcome is Outcome.SUCCESS)[:ROWS_BOUND]


def sections(verdict: Verdict, logs: Mapping[str, Lines]) -> Sections:
    """Choose the failures, and the parts of each, that are shown."""
    found = groups(verdict)
    failures = [failure for group in found for failure in group]
    shown = _prepare(failures[:FAILURES_BOUND], logs)
    anchors: dict[str, str] = {}
    for one in shown:
        anchors.setdefault(one.failure.case.id, one.anchor)
    # Those shown are in the order of the groups, until the bound is reached.
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
    # The traceback comes first, and its end has the exception.
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
    """Return a line of a log with a short context: the first part of the request id is kept."""
    return _CONTEXT.sub(r"[\1]", line)
