# SPDX-License-Identifier: Apache-2.0
"""The errors of the harness, each with the exit code of the command."""

from collections.abc import Sequence
from typing import ClassVar

from bsdgate.results.errors import BsdgateError


class UsageError(BsdgateError):
    """The command cannot be carried out with these arguments or in this environment."""

    exit_code: ClassVar[int] = 2


class ConfigurationError(BsdgateError):
    """A profile, a suite or another file of settings is wrong.

    ``problems`` has a line for each problem, so that the user can correct all of them together.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, message: str, hint: str | None = None, problems: Sequence[str] = ()) -> None:
        super().__init__("\n".join([message, *(f"  {problem}" for problem in problems)]), hint)
        self.problems = tuple(problems)


class InfrastructureError(BsdgateError):
    """A machine, service or tool that the run needs failed; this is no result of the tests."""

    exit_code: ClassVar[int] = 3


class Interrupted(BsdgateError):
    """The user stopped the run; it can be resumed."""

    exit_code: ClassVar[int] = 130
