# SPDX-License-Identifier: Apache-2.0
"""The problems of an attempt that the harness found: each has a code and a text.

Every problem is an error; the code decides the cause of failures in the same attempt.
attempt.json has each problem as ``{"code": ..., "text": ...}``.
"""

from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import AfterValidator, ConfigDict

from bsdgate.results.codes import Code

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


def _of_a_problem(code: Code) -> Code:
    if code not in CODES:
        allowed = ", ".join(sorted(CODES))
        raise ValueError(f"{code} is no code of a problem; allowed: {allowed}")
    return code


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that went wrong."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    code: Annotated[Code, AfterValidator(_of_a_problem)]
    text: str

    @property
    def fields(self) -> dict[str, str]:
        """The problem as attempt.json has it."""
        return {"code": self.code, "text": self.text}
