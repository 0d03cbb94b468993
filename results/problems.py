# SPDX-License-Identifier: Apache-2.0
"""The problems of an attempt that the harness found: each has a code and a text.

Each becomes a reason of level error; its code decides the cause of failures in the attempt.
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
        Code.NODE_LOST,
        Code.CLOUD_LOST,
        Code.TIME_LIMIT,
        Code.RUNNER_FAILED,
        Code.RUNNER_REFUSED,
        Code.RECORD_MISSING,
        Code.RECORD_UNREADABLE,
    }
)
"""The codes that a problem may have. Other codes are refused: some of them are excused."""


def _of_a_problem(code: Code) -> Code:
    if code not in CODES:
        allowed = ", ".join(sorted(CODES))
        raise ValueError(f"{code} is not a code of a problem; allowed: {allowed}")
    return code


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem: its code and a description."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    code: Annotated[Code, AfterValidator(_of_a_problem)]
    """The code, which decides the cause of failures in the attempt."""
    text: str
    """The description."""

    @property
    def fields(self) -> dict[str, str]:
        """The problem as a JSON object for attempt.json."""
        return {"code": self.code, "text": self.text}


FOUND_CODES: Final = frozenset(
    {
        Code.FOREIGN_ALTERED,
        Code.FOREIGN_CHANGED,
        Code.LEFT_BEHIND,
        Code.END_OF_LIFE,
        Code.END_OF_LIFE_NEAR,
        Code.NOT_IN_MATRIX,
        *(Code.NODE_NOT_AS_ASKED, Code.NODE_REBOOTED),
        *(Code.KERNEL_PANIC, Code.OUT_OF_MEMORY, Code.PROCESS_CRASHED),
    }
)
"""The codes that a finding may have."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem of the node, or of the end of a deployment, as recorded in the journal."""

    code: Code
    text: str
