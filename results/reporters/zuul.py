# SPDX-License-Identifier: Apache-2.0
"""A verdict as JSON data for the parameter ``file`` of Zuul's module ``zuul_return``.

Zuul stores the URLs of the artifacts with the build, appends the warnings to its review comment,
and shows the file comments at the lines of the change.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from bsdgate.results.model import Cause, Code, Excuse, Level, Reason, Verdict
from bsdgate.results.reporters.failures import Failure, groups, mostly
from bsdgate.results.reporters.servicelogs import Lines
from bsdgate.results.reporters.text import describe_counts, plain

# Maximum numbers of warnings, of comments and of ids in a text, and of characters in a text. Gerrit
# accepts review messages of 16 kB, and Zuul needs most of that for other text.
WARNINGS_BOUND: Final = 8
WARNING_BOUND: Final = 500
COMMENTS_BOUND: Final = 50
COMMENT_BOUND: Final = 1000
IDS_SHOWN: Final = 5

ARTIFACTS: Final = (
    ("bsdgate report", "report.html", "html_report"),
    ("bsdgate verdict", "verdict.json", "json_verdict"),
    ("bsdgate results", "report.xml", "junit_xml"),
)
"""The artifacts of the build: the name, the file in ``report/`` and the type of each."""

# Reviewers have to see these notes, although they have no effect on the result.
_SHOWN_NOTES = frozenset(
    {
        Code.NO_SEAL,
        Code.NOT_REPORTED,
        Code.LEFT_BEHIND,
        Code.END_OF_LIFE,
        Code.END_OF_LIFE_NEAR,
        Code.UNEXPECTED_SUCCESS,
        Code.EXPECTATION_EXPIRED,
        Code.COVERAGE_LOST,
        Code.FEWER_RAN,
        Code.NARROWED,
        Code.FAILS_ON_BASE,
        Code.KNOWN_FLAKE,
    }
)
_LEVELS: Final[Mapping[Cause | Excuse, str]] = {Cause.CHANGE: "error", Cause.UNKNOWN: "warning"}
_FRAME = re.compile(r'File "([^"\n]+)", line (\d{1,7})')


def render(
    verdict: Verdict,
    *,
    changed: Collection[str] = (),
    logs: Mapping[str, Lines] | None = None,
) -> dict[str, Any]:
    """Return the ``data`` for ``zuul_return``: plain data, limited in size.

    ``changed`` has the files of the change, relative to its project. A failure becomes a comment if
    a traceback of the test, or of a service in ``logs`` (by test id), has a frame in one of these
    files. Zuul warns about comments on other files, so without ``changed`` there are no comments.
    """
    about = {"result": str(verdict.result)}
    if verdict.run.selection:
        about["selection"] = _cut(verdict.run.selection, WARNING_BOUND)
    return {
        "zuul": {
            "artifacts": [
                {"name": name, "url": f"report/{file}", "metadata": {"type": kind, **about}}
                for name, file, kind in ARTIFACTS
            ],
            "warnings": list(_warnings(verdict)),
            "file_comments": _comments(verdict, changed, logs or {}),
        }
    }


def _warnings(verdict: Verdict) -> Iterator[str]:
    shown = [
        reason
        for reason in verdict.reasons
        if reason.level is not Level.NOTE or reason.code in _SHOWN_NOTES
    ]
    if shown:
        yield f"bsdgate {verdict.result}: {describe_counts(verdict)}"
    if shown and (said := mostly(verdict)):
        yield _cut(said, WARNING_BOUND)
    for reason in shown[:WARNINGS_BOUND]:
        yield _cut(f"{reason.level.upper()} {reason.code}: {_reason_text(reason)}", WARNING_BOUND)
    if len(shown) > WARNINGS_BOUND:
        yield f"and {len(shown) - WARNINGS_BOUND} more reasons: see the bsdgate report"


def _reason_text(reason: Reason) -> str:
    if not reason.ids:
        return reason.message
    more = len(reason.ids) - IDS_SHOWN
    listed = ", ".join(reason.ids[:IDS_SHOWN]) + (f" and {more} more" if more > 0 else "")
    return f"{reason.message}: {listed}"


def _comments(
    verdict: Verdict, changed: Collection[str], logs: Mapping[str, Lines]
) -> dict[str, list[dict[str, Any]]]:
    endings: dict[str, dict[str, str]] = defaultdict(dict)
    for path in changed:
        if "/" in path:
            endings[path.rpartition("/")[2]]["/" + path.removeprefix("src/")] = path
    blamed = [one for group in groups(verdict) if group.cause in _LEVELS for one in group]
    places: dict[tuple[str, int], list[Failure]] = defaultdict(list)
    for failure in blamed if endings else ():
        place = _place(_tracebacks(failure, logs), endings)
        if place and (place in places or len(places) < COMMENTS_BOUND):
            places[place].append(failure)
    comments: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for (path, line), found in sorted(places.items()):
        level = _LEVELS[found[0].disposition.cause]
        comments[path].append({"line": line, "level": level, "message": _comment_text(found)})
    return comments


def _tracebacks(failure: Failure, logs: Mapping[str, Lines]) -> Iterator[str]:
    """Yield the traceback of the test, then of services, which are closer to the cause."""
    yield failure.case.details or ""
    found = logs.get(failure.case.id, Lines()).lines
    yield "\n".join(line.text for line in found if line.own)


def _place(
    tracebacks: Iterable[str], endings: Mapping[str, Mapping[str, str]]
) -> tuple[str, int] | None:
    """Return file and line of the innermost frame in a changed file (``endings``: by base name)."""
    place = None
    for text in tracebacks:
        for file, line in _FRAME.findall(text):
            for ending, path in endings.get(file.rpartition("/")[2], {}).items():
                if file.endswith(ending) and int(line) > 0:
                    place = path, int(line)
    return place


def _comment_text(found: list[Failure]) -> str:
    case = found[0].case
    more = f", and {len(found) - 1} more that fail here" if len(found) > 1 else ""
    return _cut(f"{case.id}: {case.reason or case.outcome}{more}", COMMENT_BOUND)


def _cut(text: str, bound: int) -> str:
    text = plain(text)
    return text if len(text) <= bound else text[: bound - 2] + " …"
