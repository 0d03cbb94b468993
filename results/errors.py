# SPDX-License-Identifier: Apache-2.0
"""The base class of every error that bsdgate shows to its user."""

from typing import ClassVar


class BsdgateError(Exception):
    """An error that the user can correct.

    ``message`` has the file and the value, ``hint`` the next step. ``exit_code`` is the exit
    status of the process if no code handles the error.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  -> {self.hint}" if self.hint else self.message


class EvidenceError(BsdgateError):
    """The evidence cannot be read at all, so that not even an ERROR verdict is possible."""

    exit_code = 3


class ReportError(BsdgateError):
    """The path for the reports is not a folder."""
