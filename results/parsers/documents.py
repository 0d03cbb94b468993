# SPDX-License-Identifier: Apache-2.0
"""Reads reports that are one JSON document. A report is read whole, so its size is bounded.

JSON with duplicate keys, NaN, deep nesting or half of a surrogate pair is refused.
"""

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, BinaryIO

from bsdgate.results import strict_json
from bsdgate.results.model import Code, Dated, Found, Reason, error

SIZE_BOUND = 64 << 20
"""The maximum number of bytes of a report."""

PROBLEMS_BOUND = 20
"""The maximum number of reasons with the code ``damaged`` per report."""

SHAPE_ERRORS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""The exceptions of code that reads a document of an unexpected shape."""

_MESSAGE_BOUND = 300
_MOMENT_BOUND = 40


def read(stream: BinaryIO) -> dict[str, Any] | Reason:
    """Return the decoded report, or a Reason if it is not one JSON object."""
    content = stream.read(SIZE_BOUND + 1)
    if not content.strip():
        return error(Code.EMPTY_STREAM, "the report is empty")
    if len(content) > SIZE_BOUND:
        return error(Code.TOO_LARGE, f"the report has more than {SIZE_BOUND} bytes")
    try:
        return strict_json.loads_object(content)
    except strict_json.TooLargeError as reason:
        return error(Code.TOO_LARGE, f"the report has {reason}")
    except json.JSONDecodeError as reason:
        return error(Code.TRUNCATED, f"the report is truncated or not JSON: {reason}")
    except ValueError as reason:
        return misshapen("the report", reason)


def bounded(found: Iterable[Found | Dated]) -> Iterator[Found | Dated]:
    """Yield ``found`` with at most PROBLEMS_BOUND reasons ``damaged``, then the number of more."""
    damaged = 0
    for one in found:
        if isinstance(one, Reason) and one.code is Code.DAMAGED:
            damaged += 1
            if damaged > PROBLEMS_BOUND:
                continue
        yield one
    if damaged > PROBLEMS_BOUND:
        yield error(Code.DAMAGED, f"the report has {damaged - PROBLEMS_BOUND} more damaged parts")


def misshapen(what: str, reason: Exception) -> Reason:
    """Return the error that ``what`` does not have Rally's format, with a bounded message."""
    message = f"{what} does not have Rally's format: {type(reason).__name__}: {reason}"
    return error(Code.DAMAGED, message[:_MESSAGE_BOUND])


def text(value: Any) -> str:
    """Return ``value``; raise TypeError if it is not a text."""
    if not isinstance(value, str):
        raise TypeError(f"a text was expected, not {type(value).__name__}")
    return value


def duration(value: Any) -> float | None:
    """Return ``value`` in seconds; None if it is negative because the clock was set back."""
    number = float(value)
    return None if -1e10 < number < 0 else seconds(number)


def seconds(value: Any) -> float:
    """Return ``value`` in seconds; raise ValueError if it is negative, or 1e10 or more."""
    number = float(value)
    if not 0 <= number < 1e10:
        raise ValueError(f"{number:g} is not a number of seconds from 0 to 1e10")
    return round(number, 6)


def moment(value: Any) -> datetime | None:
    """Return the ISO time ``value`` in UTC (its zone if none is given); None if it is invalid."""
    if not isinstance(value, str) or len(value) > _MOMENT_BOUND:
        return None
    try:
        found = datetime.fromisoformat(value)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
