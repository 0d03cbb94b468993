# SPDX-License-Identifier: Apache-2.0
"""Compares the stream of an attempt (one runner execution) with other facts about the same tests.

These are the runner's exit status; the times of the tests, which must lie within the attempt; and
the record of the run that stestr keeps. stestr makes the record from the same events as the stream,
but with other code, in another format and another file. So an outcome that was changed in one of
the two is still right in the other.
"""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import BinaryIO, Final

from bsdgate.results.model import Attempt, Code, Kind, Outcome, Reason, State, count, error
from bsdgate.results.time_limits import time_was_up

SLACK: Final = timedelta(seconds=10)
"""The largest accepted change of the clock while an attempt runs."""

LINE_BOUND: Final = 1 << 16


def contradictions(attempt: Attempt, *, failed: bool) -> list[Reason]:
    """Return the contradictions to the stream of an attempt; ``failed``: whether it has a failure.

    The exit status is checked only if the runner ended by itself. If it was interrupted or reached
    its time limit, the status shows only the signal.
    """
    return [*_check_times(attempt), *_check_status(attempt, failed), *_check_record(attempt)]


def record(repository: BinaryIO) -> bytes:
    """Return the content of runner-record.json for a run in stestr's repository (``.stestr/0``).

    Raises ValueError if ``repository`` is not a stream of subunit v1, the format of stestr.
    """
    try:
        outcomes = list(_outcomes(repository))
    except ValueError as reason:
        raise ValueError(f"stestr's own record of the run cannot be read: {reason}") from None
    others = sorted(each for each in outcomes if each[1] is not Outcome.SUCCESS)
    return json.dumps({"reports": len(outcomes), "others": others}, indent=1).encode() + b"\n"


def _check_times(attempt: Attempt) -> list[Reason]:
    times = [report.started for report in attempt.reports if report.started is not None]
    if times and attempt.started is not None and attempt.started - min(times) > SLACK:
        when = "before the attempt began"
    elif times and attempt.ended is not None and max(times) - attempt.ended > SLACK:
        when = "after the attempt ended"
    else:
        return []
    return [error(Code.FOREIGN_EVIDENCE, f"{attempt.name}: the stream has a test from {when}")]


def _check_status(attempt: Attempt, failed: bool) -> list[Reason]:
    if attempt.state is not State.ENDED or time_was_up(attempt):
        return []
    status, (runner, failures, otherwise) = attempt.exit_status, _STATUSES[attempt.kind]
    if status is None:
        fault = "the runner's exit status is not known"
    elif status not in failures:
        fault = f"{runner} ended with status {status}{otherwise}"
    elif failures[status] in (None, failed):
        return []
    else:
        meaning = " (an SLA failed)" if attempt.kind is Kind.RALLY else ""
        there = "failures" if failed else "no failure"
        fault = f"{runner} ended with status {status}{meaning}, but the report has {there}"
    return [error(Code.EXIT_STATUS, f"{attempt.name}: {fault}")]


_STATUSES: Final[dict[Kind, tuple[str, dict[int, bool | None], str]]] = {
    # `tempest run --subunit` returns stestr's status. With --subunit it is 0 even if tests failed
    # or a worker was killed, so 0 proves nothing. Another status means that stestr could not
    # make the stream (100: a module cannot be imported; 1: nothing was selected).
    Kind.TEMPEST: ("tempest", {0: None}, ", which failed tests do not cause"),
    # pytest's status: 0 all tests passed, 1 some failed, 2 to 5 pytest itself failed.
    Kind.HOSTCHECKS: ("pytest", {0: False, 1: True}, ", which failed tests do not cause"),
    Kind.APICHECKS: ("pytest", {0: False, 1: True}, ", which failed tests do not cause"),
    # `rally task start`: 0 all SLAs passed (even if iterations failed or none ran), 2 an SLA
    # failed, 1 no task ran.
    Kind.RALLY: ("rally", {0: None, 2: True}, ", which a failed SLA does not cause"),
}
"""The runner, its normal statuses, and the end of the message about another status.

Each normal status has whether it means failures (None: unknown).
"""


def _check_record(attempt: Attempt) -> list[Reason]:
    record, reports = attempt.runner_record, attempt.reports
    if record is None:
        return []
    reasons = []
    if record.reports != len(reports):
        counts = f"{record.reports} outcomes, but the stream has {len(reports)}"
        reasons.append(error(Code.CONTRADICTED, f"{attempt.name}: the runner recorded {counts}"))
    differing = Counter(record.others)
    good = Outcome.SUCCESS
    differing.subtract((case.id, case.outcome) for case in reports if case.outcome is not good)
    if ids := tuple(sorted({test_id for (test_id, _), times in differing.items() if times})):
        tests = count(ids, "test")
        message = f"{attempt.name}: the runner recorded another outcome than the stream for {tests}"
        reasons.append(error(Code.CONTRADICTED, message, ids))
    return reasons


# stestr's repository -----------------------------------------------------------------------

_OUTCOMES: Final = {
    b"success": Outcome.SUCCESS,
    b"successful": Outcome.SUCCESS,
    b"failure": Outcome.FAIL,
    b"error": Outcome.FAIL,
    b"skip": Outcome.SKIP,
    b"xfail": Outcome.XFAIL,
    b"uxsuccess": Outcome.UXSUCCESS,
}
_IGNORED: Final = frozenset({b"test", b"time", b"tags", b"progress"})
_PARTS, _TEXT, _END = b" [ multipart\n", b" [\n", b"]\n"


def _outcomes(stream: BinaryIO) -> Iterator[tuple[str, Outcome]]:
    """Yield every outcome in a stream of subunit v1 of subunit's TestProtocolClient."""
    while line := stream.readline(LINE_BOUND):
        word, colon, rest = line.partition(b": ")
        if word in _OUTCOMES and colon and line.endswith(b"\n"):
            if rest.endswith(_PARTS):
                _skip_parts(stream)
            elif rest.endswith(_TEXT):
                _skip_text(stream)
            test_id = rest.removesuffix(_PARTS).removesuffix(_TEXT).removesuffix(b"\n")
            yield test_id.decode(), _OUTCOMES[word]
        elif word not in _IGNORED:
            raise ValueError(f"{line[:80]!r} is not a line of subunit v1")


def _skip_text(stream: BinaryIO) -> None:
    while (line := stream.readline(LINE_BOUND)) != _END:
        if not line:
            raise ValueError("the stream ends inside the text of a test")


def _skip_parts(stream: BinaryIO) -> None:
    """Skip attachments: each has a type, a name, and chunks, each after its length."""
    while (line := stream.readline(LINE_BOUND)) != _END:
        if not line.startswith(b"Content-Type: "):
            raise ValueError(f"{line[:80]!r} is not the start of an attachment")
        stream.readline(LINE_BOUND)
        while size := int(stream.readline(LINE_BOUND), 16):
            if len(stream.read(size)) != size:
                raise ValueError("the stream ends inside an attachment")
