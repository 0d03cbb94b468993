# SPDX-License-Identifier: Apache-2.0
"""The parts of a verdict that the HTML report shows, in its order and within bounds."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from bsdgate.results.ids import bare
from bsdgate.results.model import Case, Level, Outcome, Reason, Verdict
from bsdgate.results.reporters.failures import Failure, Group, groups
from bsdgate.results.reporters.servicelogs import Line, Lines, wanted

FAILURES_BOUND: Final = 500
ROWS_BOUND: Final = 10_000
DETAILS_BOUND: Final = 3_000_000
"""Characters of tracebacks and captured logs on the page; beyond that, a failure's last ones."""

DETAILS_LEAST: Final = 2_000
LINES_BOUND: Final = 4_000
"""Lines of services' logs on the page."""

IDS_SHOWN: Final = 8
IDS_BOUND: Final = 2_000
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
    requests: tuple[str, ...]
    lines: tuple[Line, ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class Section:
    """A group of failures; ``alike`` are those with one signature side by side."""

    group: Group
    alike: tuple[tuple[ShownFailure, ...], ...]


@dataclass(frozen=True, slots=True)
class Sections:
    """All failures shown; ``anchors`` lead to them by test id. ``left_out`` are not shown."""

    sections: tuple[Section, ...]
    anchors: Mapping[str, str]
    total: int
    left_out: int


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the ledger; ``anchor`` is where its failure is shown, if it is."""

    case: Case
    name: Name
    anchor: str


@dataclass(frozen=True, slots=True)
class CaseTable:
    """The cases shown. Where there are too many, ``left_out`` of those that passed are not."""

    rows: tuple[Row, ...]
    left_out: int


def split(test_id: str) -> Name:
    """Split an id into module, class with test, and tags."""
    head = bare(test_id)
    parts = head.rsplit(".", 2)
    module = f"{parts[0]}." if len(parts) > 2 else ""  # noqa: PLR2004 (a module, a class, a test)
    return Name(module, head[len(module) :], test_id[len(head) :])


def reasons(verdict: Verdict) -> list[Reason]:
    """The reasons, gravest first."""
    order = list(Level)
    return sorted(verdict.reasons, key=lambda reason: order.index(reason.level))


def case_table(verdict: Verdict, anchors: Mapping[str, str]) -> CaseTable:
    """Return all cases in order, or the first ROWS_BOUND, those without success first."""
    cases: Sequence[Case] = verdict.cases
    if len(cases) > ROWS_BOUND:
        cases = sorted(cases, key=lambda case: case.outcome is Outcome.SUCCESS)[:ROWS_BOUND]
    rows = tuple(Row(case, split(case.id), anchors.get(case.id, "")) for case in cases)
    return CaseTable(rows, len(verdict.cases) - len(rows))


def sections(verdict: Verdict, logs: Mapping[str, Lines]) -> Sections:
    """Choose the failures, and the parts of each, that are shown."""
    chosen = _FailureList(logs)
    found = groups(verdict)
    shown = tuple(Section(group, chosen.choose(group)) for group in found)
    total = sum(map(len, found))
    return Sections(shown, chosen.anchors, total, total - chosen.shown)


class _FailureList:
    """Prepares failures for the page, one after the other, until its bounds are reached."""

    def __init__(self, logs: Mapping[str, Lines]) -> None:
        self._logs = logs
        self._details = DETAILS_BOUND
        self._lines = LINES_BOUND
        self.shown = 0
        self.anchors: dict[str, str] = {}

    def choose(self, group: Group) -> tuple[tuple[ShownFailure, ...], ...]:
        alike = (
            tuple(self._choose(failure) for failure in failures[: FAILURES_BOUND - self.shown])
            for failures in group.alike
        )
        return tuple(filter(None, alike))

    def _choose(self, failure: Failure) -> ShownFailure:
        case = failure.case
        self.shown += 1
        anchor = f"failure-{self.shown}"
        self.anchors.setdefault(case.id, anchor)
        details = self._cut(case.details or "")
        found = self._logs.get(case.id, Lines())
        lines = found.lines[-self._lines :] if self._lines > 0 else ()
        self._lines -= len(lines)
        return ShownFailure(
            anchor=anchor,
            failure=failure,
            texts=_attachments(details),
            requests=wanted(case).requests[-REQUESTS_SHOWN:],
            lines=tuple(_shorten(line) for line in lines),
            left_out=found.left_out + len(found.lines) - len(lines),
        )

    def _cut(self, details: str) -> str:
        room = max(self._details, DETAILS_LEAST)
        self._details -= min(room, len(details))
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


def _shorten(line: Line) -> Line:
    """Return the line with a short context: only the first part of the request id is kept."""
    return replace(line, text=_CONTEXT.sub(r"[\1]", line.text))
