# SPDX-License-Identifier: Apache-2.0
"""The base of every error that a user of bsdgate gets to see."""

from typing import ClassVar


class BsdgateError(Exception):
    """Something the user can act upon.

    ``message`` names the file and the value, ``hint`` the next step. ``exit_code`` is what the
    process ends with when nothing handles the error.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  -> {self.hint}" if self.hint else self.message


class EvidenceError(BsdgateError):
    """Evidence that cannot be read at all, so that not even an ERROR verdict can name its run."""

    exit_code = 3


class ReportError(BsdgateError):
    """A place for reports that is none."""
