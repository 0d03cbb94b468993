# SPDX-License-Identifier: Apache-2.0
"""Reads Rally's verification report (``rally verify report --type json``): one case per test.

The report does not have all of the stream that Rally made it from: failed ``tearDownClass``
fixtures, failed imports and lost workers are not in it; the verdict has a note about that. A test
that was listed or began, and did not end, has the status "init": it has no case and so becomes
missing.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from bsdgate.results.ids import ID_BOUND
from bsdgate.results.model import Case, Code, Dated, Found, Outcome, Reason, count, error, note
from bsdgate.results.parsers import documents
from bsdgate.results.parsers.details import REASON_BOUND, last_line, tail
from bsdgate.results.parsers.documents import duration, text

_UNENDED = "init"
_COUNTERS = {
    "success": Outcome.SUCCESS,
    "failures": Outcome.FAIL,
    "skipped": Outcome.SKIP,
    "expected_failures": Outcome.XFAIL,
    "unexpected_success": Outcome.UXSUCCESS,
}
"""The outcomes, by the name of the verification's counter for each."""
# "failed": tests failed. Any other status means that the verification did not end.
_WHOLE = ("finished", "failed")
# A report has these two keys in either order; a task report begins with "info" or "tasks".
_BEGIN = re.compile(rb'\s*\{\s*"(?:verifications|tests)"\s*:')


def begins(head: bytes) -> bool:
    """Return whether a file that begins with ``head`` is a verification report, even truncated."""
    return _BEGIN.match(head) is not None


def parse(stream: BinaryIO) -> Iterator[Found | Dated]:
    """Yield the cases of a report of one verification, then the problems of the report."""
    report = documents.read(stream)
    yield from [report] if isinstance(report, Reason) else take_apart(report)


def take_apart(report: Mapping[str, Any]) -> Iterator[Found | Dated]:
    """Yield the same as ``parse`` for a decoded report."""
    yield from documents.bounded(_account(report))


def _account(report: Mapping[str, Any]) -> Iterator[Found | Dated]:
    try:
        verifications = report["verifications"]
        if len(verifications) != 1:
            raise ValueError(f"{len(verifications)} verifications: make one report of each")
        ((uuid, head),) = verifications.items()
        found = {test_id: _read(test_id, test, uuid) for test_id, test in report["tests"].items()}
    except documents.SHAPE_ERRORS as reason:
        yield documents.misshapen("the report", reason)
        return
    if isinstance(head, Mapping) and (begun := documents.moment(head.get("started_at"))):
        yield Dated(begun)
    yield from filter(None, found.values())
    try:
        yield from _complaints(uuid, head, found)
    except documents.SHAPE_ERRORS as reason:
        yield documents.misshapen("the report", reason)
    message = "Rally's report never shows a failed tearDownClass, a failed import or a lost worker"
    yield note(Code.NOT_REPORTED, message)


def _read(test_id: str, test: Any, uuid: str) -> Case | Reason | None:
    """Return the case of a test, None if it did not end, or an error if its result is invalid."""
    if len(test_id) > ID_BOUND:
        message = f"the test id {test_id[:80]}... has {len(test_id)} characters"
        return error(Code.DAMAGED, f"{message}, more than {ID_BOUND}")
    try:
        result = test["by_verification"][uuid]
        status = text(result["status"])
        if status == _UNENDED:
            return None
        if status not in _COUNTERS.values():
            raise ValueError(f"unknown status {status[:80]!r}")
        details, seconds = text(result.get("details", "")), duration(result["duration"])
    except documents.SHAPE_ERRORS as reason:
        return documents.misshapen(f"the result of {test_id[:80]}", reason)
    failed = status == Outcome.FAIL
    why = last_line(details) if failed else " ".join(details.split())
    return Case(
        id=test_id,
        outcome=Outcome(status),
        seconds=seconds,
        reason=(why or "")[:REASON_BOUND] or None,
        details=(tail(details) or None) if failed else None,
    )


def _complaints(
    uuid: str, head: Mapping[str, Any], found: Mapping[str, Case | Reason | None]
) -> Iterator[Reason]:
    if (status := text(head["status"])) not in _WHOLE:
        message = f"the verification {uuid[:80]} has the status {status[:80]!r}"
        yield error(Code.TRUNCATED, f"{message}: it did not end")
    if unended := tuple(sorted(test_id for test_id, one in found.items() if one is None)):
        message = f"{count(unended, 'test')} did not end, or did not begin"
        yield error(Code.IN_PROGRESS, message, unended)
    if any(isinstance(one, Reason) for one in found.values()):
        return  # then the counters differ for a reason that is listed already
    counted = Counter(one.outcome for one in found.values() if isinstance(one, Case))
    reported = {str(outcome): int(head[name]) for name, outcome in _COUNTERS.items()}
    there = {str(outcome): counted[outcome] for outcome in _COUNTERS.values()}
    if reported != there or int(head["tests_count"]) != len(found):
        tests = f"{head['tests_count']} tests, {reported}"
        message = f"the report counts {tests}, but lists {len(found)}, {there}"
        yield error(Code.DAMAGED, message[:REASON_BOUND])
