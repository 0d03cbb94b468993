# SPDX-License-Identifier: Apache-2.0
"""Reads JSON strictly: no duplicate keys, no NaN, bounded depth and number of values.

Half of a surrogate pair is refused too: it cannot be written to a file or database. The number of
values is bounded because each takes dozens of bytes in memory, even a short one.
"""

import json
import re
from collections import Counter
from typing import Any, Final

from pydantic import ValidationError

VALUES_BOUND: Final = 3_000_000
_ERRORS_SHOWN: Final = 3
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")


class BadJsonError(ValueError):
    """JSON with duplicate keys, a NaN, too many levels, or a value of a wrong type."""


class TooLargeError(BadJsonError):
    """JSON with too many values."""


def loads(content: bytes | str) -> Any:
    """Decode one JSON document of at most VALUES_BOUND values; commas in texts count as values.

    Raises json.JSONDecodeError if the document is not JSON, BadJsonError if it is refused; both are
    ValueErrors.
    """
    try:
        text = content.decode("utf-8") if isinstance(content, bytes) else content
        if sum(map(text.count, ",[{")) > VALUES_BOUND:
            raise TooLargeError(f"more than {VALUES_BOUND} values")
        found = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse)
        if _SURROGATE.search(text):
            json.dumps(found, ensure_ascii=False).encode()
        return found
    except RecursionError:
        raise BadJsonError("nested too deeply") from None
    except UnicodeError as reason:
        raise BadJsonError(f"not UTF-8: {reason}") from None


def loads_object(content: bytes | str) -> dict[str, Any]:
    """Decode one JSON document that must be an object."""
    found = loads(content)
    if not isinstance(found, dict):
        raise BadJsonError(f"an object was expected, not {type(found).__name__}")
    return found


def explain(reason: Exception) -> str:
    """Return in one line why a document was refused: pydantic's first errors, or the error's text.

    Each error of pydantic begins with its place in the document.
    """
    if not isinstance(reason, ValidationError):
        return f"{type(reason).__name__}: {reason}"
    found = reason.errors(include_url=False, include_input=False)
    listed = [
        f"{'.'.join(map(str, each['loc'])):.200}: {each['msg']:.200}"
        for each in found[:_ERRORS_SHOWN]
    ]
    more = [f"{len(found) - _ERRORS_SHOWN} more"] if len(found) > _ERRORS_SHOWN else []
    return "; ".join([*listed, *more])


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        # Counted in one pass, because there may be a million keys.
        times = Counter(key for key, _ in pairs)
        twice = min(key for key, count in times.items() if count > 1)
        raise BadJsonError(f"the key {twice[:80]!r} occurs more than once")
    return found


def _refuse(constant: str) -> Any:
    raise BadJsonError(f"{constant} is not allowed in JSON")
