# SPDX-License-Identifier: Apache-2.0
"""The errors of the harness, each with the exit code that the command ends with."""

from collections.abc import Sequence
from typing import ClassVar

from bsdgate.results.errors import BsdgateError


class UsageError(BsdgateError):
    """What was asked for cannot be done as it was asked."""

    exit_code: ClassVar[int] = 2


class ConfigurationError(BsdgateError):
    """A profile, suite or other file of settings is wrong.

    ``problems`` holds every one that was found, a line each, so that a file is mended in one go.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, message: str, hint: str | None = None, problems: Sequence[str] = ()) -> None:
        super().__init__("\n".join([message, *(f"  {problem}" for problem in problems)]), hint)
        self.problems = tuple(problems)


class InfrastructureError(BsdgateError):
    """Something that the run stands on failed; it says nothing about the change under test."""

    exit_code: ClassVar[int] = 3


class Interrupted(BsdgateError):
    """The user stopped the run; it can be resumed."""

    exit_code: ClassVar[int] = 130
