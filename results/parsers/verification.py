# SPDX-License-Identifier: Apache-2.0
"""Rally's verification report (``rally verify report --type json``), one case per test.

It holds less than the subunit stream that Rally made it from: failed ``tearDownClass`` fixtures,
modules that could not be imported and lost workers are not in it, which is noted. A test that began
or was listed and did not end has the status "init": it has no case here and so becomes missing.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from bsdgate.results.ids import ID_BOUND
from bsdgate.results.model import (
    Case,
    Code,
    Dated,
    Found,
    Outcome,
    Reason,
    count,
    error,
    note,
)
from bsdgate.results.parsers import documents
from bsdgate.results.parsers.details import REASON_BOUND, last_line, tail
from bsdgate.results.parsers.documents import duration, text

_OUTCOMES = {
    "success": Outcome.SUCCESS,
    "fail": Outcome.FAIL,
    "skip": Outcome.SKIP,
    "xfail": Outcome.XFAIL,
    "uxsuccess": Outcome.UXSUCCESS,
}
_UNENDED = "init"
_COUNTERS = {
    "success": "success",
    "failures": "fail",
    "skipped": "skip",
    "expected_failures": "xfail",
    "unexpected_success": "uxsuccess",
}
# "failed" says that tests failed; any other status that the verification did not end.
_WHOLE = ("finished", "failed")
# Its two parts, in either order; a task report begins with "info" or "tasks".
_BEGIN = re.compile(rb'\s*\{\s*"(?:verifications|tests)"\s*:')


def begins(head: bytes) -> bool:
    """Whether a file that begins with ``head`` is such a report, complete or not."""
    return _BEGIN.match(head) is not None


def parse(stream: BinaryIO) -> Iterator[Found | Dated]:
    """Read a report of one verification: its cases, then what is wrong with it."""
    report = documents.read(stream)
    if isinstance(report, Reason):
        yield report
    else:
        yield from take_apart(report)


def take_apart(report: Mapping[str, Any]) -> Iterator[Found | Dated]:
    """Read a decoded report as ``parse`` does."""
    yield from documents.bounded(_account(report))


def _account(report: Mapping[str, Any]) -> Iterator[Found | Dated]:
    try:
        found = list(_tests(report))
        dated = list(_dated(report))
    except documents.SHAPE_ERRORS as reason:
        yield documents.misshapen("the report", reason)
        return
    yield from dated
    yield from (one for _, one in found if one)
    try:
        yield from _complaints(report, found)
    except documents.SHAPE_ERRORS as reason:
        yield documents.misshapen("the report", reason)
    message = "rally's report never has a failed tearDownClass or a worker that died"
    yield note(Code.NOT_REPORTED, message)


def _dated(report: Mapping[str, Any]) -> Iterator[Dated]:
    for head in report["verifications"].values():
        if isinstance(head, Mapping) and (begun := documents.moment(head.get("started_at"))):
            yield Dated(begun)


def _tests(report: Mapping[str, Any]) -> Iterator[tuple[str, Case | Reason | None]]:
    """Yield each test's id with its case, None if it did not end, or the error."""
    verifications = report["verifications"]
    if len(verifications) != 1:
        raise ValueError(f"it compares {len(verifications)} verifications: make one of each")
    (uuid,) = verifications
    for test_id, test in report["tests"].items():
        if len(test_id) > ID_BOUND:
            message = f"a test id of {len(test_id)} characters: {test_id[:80]}..."
            yield test_id[:80], error(Code.DAMAGED, message)
            continue
        try:
            yield test_id, _case(test_id, test["by_verification"][uuid])
        except documents.SHAPE_ERRORS as reason:
            yield test_id, documents.misshapen(f"the result of {test_id[:80]}", reason)


def _case(test_id: str, result: Mapping[str, Any]) -> Case | None:
    status = text(result["status"])
    if status == _UNENDED:
        return None
    if status not in _OUTCOMES:
        raise ValueError(f"the status {status[:80]!r}")
    outcome = _OUTCOMES[status]
    details = text(result.get("details", ""))
    why = last_line(details) if outcome is Outcome.FAIL else " ".join(details.split())
    return Case(
        id=test_id,
        outcome=outcome,
        seconds=duration(result["duration"]),
        reason=(why or "")[:REASON_BOUND] or None,
        details=(tail(details) or None) if outcome is Outcome.FAIL else None,
    )


def _complaints(
    report: Mapping[str, Any], found: list[tuple[str, Case | Reason | None]]
) -> Iterator[Reason]:
    ((uuid, head),) = report["verifications"].items()
    if (status := text(head["status"])) not in _WHOLE:
        message = f"rally says that the verification {uuid[:80]} is {status[:80]!r}"
        yield error(Code.TRUNCATED, message)
    unended = tuple(sorted(test_id for test_id, one in found if one is None))
    if unended:
        message = f"{count(unended, 'test')} begun or listed and never ended"
        yield error(Code.IN_PROGRESS, message, unended)
    if any(isinstance(one, Reason) for _, one in found):
        return  # then the counters differ for a reason that is listed already
    counted = Counter(one.outcome for _, one in found if isinstance(one, Case))
    reported = {name: int(head[counter]) for counter, name in _COUNTERS.items()}
    there = {name: counted[outcome] for name, outcome in _OUTCOMES.items()}
    if reported != there or int(head["tests_count"]) != len(found):
        message = (
            f"rally counts {head['tests_count']} tests, {reported}; there are {len(found)}, {there}"
        )
        yield error(Code.DAMAGED, message[:REASON_BOUND])
