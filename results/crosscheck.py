# SPDX-License-Identifier: Apache-2.0
"""Witnesses beside the stream: what they can contradict, and what they cannot.

The runner's exit status; the clock, for a report from before or after its attempt is another
attempt's; and stestr's own record, which it keeps of each run beside the stream that it writes.
The record is made from the very same events by other code into another format and file, so that
an outcome that was changed in one of them is not changed in the other.
"""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import BinaryIO, Final

from bsdgate.results.model import (
    Attempt,
    Code,
    Kind,
    Outcome,
    Reason,
    State,
    count,
    error,
)
from bsdgate.results.time_limits import time_was_up

SLACK: Final = timedelta(seconds=10)
"""By how much the clock may have been set while an attempt ran."""

LINE_BOUND: Final = 1 << 16


def contradictions(attempt: Attempt, *, failed: bool) -> list[Reason]:
    """What speaks against the stream of an attempt. ``failed`` tells whether it has a failure.

    The exit status counts only if the runner ended by itself: if it was interrupted or ran out of
    time, the status is that of the signal.
    """
    return [
        *_check_times(attempt),
        *_check_status(attempt, failed),
        *_check_record(attempt),
    ]


def record(repository: BinaryIO) -> bytes:
    """Make runner-record.json of a run in stestr's repository, such as ``.stestr/0``.

    Raises ValueError if it is not subunit's first version, which is what stestr keeps.
    """
    reports = 0
    others = []
    try:
        for test_id, outcome in _outcomes(repository):
            reports += 1
            if outcome is not Outcome.SUCCESS:
                others.append((test_id, outcome))
    except ValueError as reason:
        raise ValueError(f"stestr's own record of the run cannot be read: {reason}") from None
    return json.dumps({"reports": reports, "others": sorted(others)}, indent=1).encode() + b"\n"


def _check_times(attempt: Attempt) -> list[Reason]:
    times = [report.started for report in attempt.reports if report.started is not None]
    if not times:
        return []
    first, last = min(times), max(times)
    early = attempt.started is not None and attempt.started - first > SLACK
    late = attempt.ended is not None and last - attempt.ended > SLACK
    if not early and not late:
        return []
    when = "before it began" if early else "after it ended"
    return [error(Code.FOREIGN_EVIDENCE, f"{attempt.name}: it has reports from {when}")]


def _check_status(attempt: Attempt, failed: bool) -> list[Reason]:
    if attempt.state is not State.ENDED or time_was_up(attempt):
        return []
    if attempt.exit_status is None:
        said: str | None = "the runner's exit status is not known"
    else:
        said = _SAID[attempt.kind](attempt.exit_status, failed)
    return [error(Code.EXIT_STATUS, f"{attempt.name}: {said}")] if said else []


def _tempest(status: int, _failed: bool) -> str | None:
    # `tempest run --subunit` hands on stestr's status, which with --subunit is 0 whatever the
    # tests did, even when a worker was killed: 0 says nothing. Non-zero is said only when the
    # stream could not be made (100: a module cannot be imported; 1: nothing was selected).
    return f"tempest ended with {status}, though failed tests leave it at 0" if status else None


def _pytest(status: int, failed: bool) -> str | None:
    # pytest's status can be trusted: 0 all passed, 1 some failed, 2 to 5 could not do its work.
    if status not in (0, 1):
        return f"pytest ended with {status}: it could not do its work"
    if status == 0 and failed:
        return "pytest ended with 0, and the report has failures"
    if status == 1 and not failed:
        return "pytest ended with 1, and the report has no failure"
    return None


def _rally(status: int, failed: bool) -> str | None:
    # `rally task start`: 0 says that all SLAs passed, which a failed iteration need not break
    # (and that no iteration ran at all does not either); 2 that one failed; 1 that no task ran.
    broken_sla = 2
    if status not in (0, broken_sla):
        return f"rally ended with {status}: the task did not run"
    if status == broken_sla and not failed:
        return "rally ended with 2 (an SLA failed), and the report has no failure"
    return None


_SAID = {Kind.TEMPEST: _tempest, Kind.HOSTCHECKS: _pytest, Kind.RALLY: _rally}


_OTHERS: Final = frozenset(Outcome) - {Outcome.SUCCESS}


def _check_record(attempt: Attempt) -> list[Reason]:
    record, reports = attempt.runner_record, attempt.reports
    if record is None:
        return []
    reasons = []
    if record.reports != len(reports):
        told = f"{record.reports} reports, the stream has {len(reports)}"
        reasons.append(error(Code.CONTRADICTED, f"{attempt.name}: the runner recorded {told}"))
    differing = Counter(record.others)
    differing.subtract((case.id, case.outcome) for case in reports if case.outcome in _OTHERS)
    ids = tuple(sorted({test_id for (test_id, _), times in differing.items() if times}))
    if ids:
        message = f"{attempt.name}: the runner recorded another outcome of {count(ids, 'test')}"
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
_PASSED_OVER: Final = frozenset({b"test", b"time", b"tags", b"progress"})
_PARTS, _TEXT, _END = b" [ multipart\n", b" [\n", b"]\n"


def _outcomes(stream: BinaryIO) -> Iterator[tuple[str, Outcome]]:
    """Every outcome in a stream of subunit's first version, as its TestProtocolClient writes it."""
    while line := stream.readline(LINE_BOUND):
        word, colon, rest = line.partition(b": ")
        if word in _OUTCOMES and colon and line.endswith(b"\n"):
            if rest.endswith(_PARTS):
                _skip_parts(stream)
            elif rest.endswith(_TEXT):
                _skip_text(stream)
            test_id = rest.removesuffix(_PARTS).removesuffix(_TEXT).removesuffix(b"\n")
            yield test_id.decode(), _OUTCOMES[word]
        elif word not in _PASSED_OVER:
            raise ValueError(f"{line[:80]!r} is no line of subunit's first version")


def _skip_text(stream: BinaryIO) -> None:
    while (line := stream.readline(LINE_BOUND)) != _END:
        if not line:
            raise ValueError("it ends inside a test's text")


def _skip_parts(stream: BinaryIO) -> None:
    """Pass over attachments: a type, a name, and chunks that say how long they are."""
    while (line := stream.readline(LINE_BOUND)) != _END:
        if not line.startswith(b"Content-Type: "):
            raise ValueError(f"{line[:80]!r} begins no attachment")
        stream.readline(LINE_BOUND)
        while size := int(stream.readline(LINE_BOUND), 16):
            if len(stream.read(size)) != size:
                raise ValueError("it ends inside an attachment")
