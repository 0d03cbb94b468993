# SPDX-License-Identifier: Apache-2.0
"""The problems of an attempt that the harness found: each has a code and a text.

Every problem is an error; the code decides the cause of failures in the same attempt.
attempt.json has each problem as ``{"code": ..., "text": ...}``; in schema 1, as a text.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bsdgate.results.model import Code, Reason, error

TEXT_SCHEMA = 1
"""The schema of attempt.json in which a problem is a text without a code."""


CODES: Final = frozenset(
    {
        Code.SERVICE_DIED,
        Code.CLOUD_NOT_READY,
        Code.TIME_LIMIT,
        Code.RUNNER_FAILED,
        Code.RUNNER_REFUSED,
        Code.RECORD_MISSING,
        Code.RECORD_UNREADABLE,
    }
)
"""The codes that a problem may have. The code of another reason could be one that is excused."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that went wrong."""

    code: Code
    text: str

    @property
    def fields(self) -> dict[str, str]:
        """The problem as attempt.json has it."""
        return {"code": self.code, "text": self.text}


def read(value: Any, schema: int) -> Reason:
    """Return the reason, an error, for a problem in an attempt.json of that schema.

    :raises ValueError: ``value`` is not a problem of that schema.
    """
    if schema == TEXT_SCHEMA:
        return error(Code.HARNESS_PROBLEM, str(value))
    if not isinstance(value, Mapping) or value.keys() != {"code", "text"}:
        raise ValueError(f"{value!r:.200} is no problem: it has not just code and text")
    code, text = value["code"], value["text"]
    if not isinstance(code, str) or not isinstance(text, str):
        raise ValueError(f"{value!r:.200} is no problem: code and text are not both texts")
    if code not in CODES:
        raise ValueError(
            f"{code!r:.200} is no code of a problem; allowed: {', '.join(sorted(CODES))}"
        )
    return error(Code(code), text)
