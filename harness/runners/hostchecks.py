# SPDX-License-Identifier: Apache-2.0
"""Checks of the host: pytest with testinfra."""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bsdgate.harness.errors import InfrastructureError
from bsdgate.harness.manifest import RunnerKind
from bsdgate.harness.run_dir import Attempt, Format
from bsdgate.harness.runners.base import Ended, Events, Look
from bsdgate.harness.runners.checks import Checks, asked
from bsdgate.results.codes import Code
from bsdgate.results.problems import Problem


@dataclass(frozen=True)
class HostChecks:
    """Runs all checks of the host.

    ``facts`` are environment variables that describe the host, ``testinfra`` the arguments of
    pytest-testinfra for it. ``timeout`` is the maximum number of seconds for all checks.
    """

    facts: Mapping[str, str]
    logs: Path
    timeout: float
    testinfra: Sequence[str] = ("--hosts=local://",)
    test_timeout: float | None = None
    kind: RunnerKind = "hostchecks"
    form: Format = "junit"

    @property
    def checks(self) -> Checks:
        """The module of checks."""
        python = Path(sys.executable)
        return Checks(
            "test_embedded_cloud.py", "hostchecks", python, self.facts, self.logs, self.testinfra
        )

    def prepare(self) -> None:
        """Do nothing: the checks need no workspace."""

    def list_ids(self) -> Sequence[str]:
        """Return the node ids of all checks."""
        return self.checks.list_ids(self.timeout)

    def asked(self, ids: Sequence[str]) -> bytes:
        """Return asked.txt: a node id per line."""
        return asked(ids)

    def run(self, ids: Sequence[str], attempt: Attempt, _events: Events, look: Look) -> Ended:
        """Run these checks, at most ``timeout`` seconds; pytest's JUnit XML is the evidence."""
        deadline = time.monotonic() + self.timeout
        text = f"the host checks did not end within {self.timeout:g} s"

        def look_in_time() -> Sequence[Problem]:
            late = time.monotonic() > deadline
            return [*look(), *([Problem(Code.TIME_LIMIT, text)] if late else [])]

        return self.checks.execute(ids, attempt, look_in_time)

    def require(self) -> None:
        """Run all checks; raise InfrastructureError, with the path of the log, if one fails."""
        if status := self.checks.run("required", self.timeout):
            raise InfrastructureError(
                f"the host checks of the cloud ended with status {status}",
                f"see {self.checks.log}",
            )
