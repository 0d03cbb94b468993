# SPDX-License-Identifier: Apache-2.0
"""Checks of the host: pytest with testinfra, on the checks in ``bsdgate.hostchecks``."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from bsdgate.harness import process
from bsdgate.harness.errors import InfrastructureError
from bsdgate.harness.manifest import Kind
from bsdgate.harness.run_dir import Attempt, Format
from bsdgate.harness.runners.base import Ended, Events, Look

TIMEOUT: Final = 120.0


def _pytest(*arguments: str | Path) -> list[str | Path]:
    # Nothing of a checkout or a user bends the checks, and none of it is written to.
    folder = Path(str(resources.files("bsdgate.hostchecks")))
    fixed: list[str | Path] = ["-p", "no:cacheprovider", "--strict-markers"]
    fixed += ["--rootdir", folder, "-c", os.devnull]
    return [sys.executable, "-m", "pytest", *fixed, *arguments, folder]


def list_checks(facts: Mapping[str, str], folder: Path, testinfra: Sequence[str]) -> list[str]:
    """Return the node ids of all checks; ``folder`` takes the log.

    ``testinfra`` are the arguments that name the node to pytest-testinfra.
    """
    output = folder / "hostchecks-list.txt"
    output.unlink(missing_ok=True)
    process.run(
        _pytest("--collect-only", "-q", "--no-header", "--no-summary", *testinfra),
        log=folder / "hostchecks-list.log",
        timeout=TIMEOUT,
        env=_environment(facts),
        stdout=output,
    )
    return [line for line in output.read_text().splitlines() if "::" in line]


def run(
    facts: Mapping[str, str], folder: Path, mark: str, testinfra: Sequence[str]
) -> tuple[int, bytes]:
    """Run all checks; return pytest's exit status and its JUnit XML.

    ``facts`` is what the checks are told of the node, as environment variables. The report's test
    suite is called ``mark``, so that a report of another run is known when it is seen.
    """
    report = folder / "hostchecks.xml"
    report.unlink(missing_ok=True)
    completed = process.run(
        _pytest("-q", f"--junitxml={report}", "-o", f"junit_suite_name={mark}", *testinfra),
        log=folder / "hostchecks.log",
        timeout=TIMEOUT,
        env=_environment(facts),
        check=False,
    )
    return completed.exit_status, report.read_bytes() if report.exists() else b""


def require(facts: Mapping[str, str], folder: Path, testinfra: Sequence[str]) -> None:
    """Run all checks; raise InfrastructureError, naming the log, if one fails."""
    status, _ = run(facts, folder, "required", testinfra)
    if status:
        raise InfrastructureError(
            f"the host checks of the cloud ended with status {status}",
            f"see {folder / 'hostchecks.log'}",
        )


def _environment(facts: Mapping[str, str]) -> dict[str, str]:
    # pytest writes byte code under a name of its own, which the comparison of the base refuses.
    return process.environment(**facts, PYTHONDONTWRITEBYTECODE="1")


@dataclass(frozen=True)
class HostChecks:
    """Runs all checks of the host; ``facts`` are the environment variables that describe it."""

    facts: Mapping[str, str]
    logs: Path
    testinfra: Sequence[str] = ("--hosts=local://",)
    test_timeout: float | None = None
    kind: Kind = "hostchecks"
    form: Format = "junit"

    def prepare(self) -> None:
        """Do nothing: the checks need no workspace."""

    def list_ids(self) -> Sequence[str]:
        """Return the node ids of all checks."""
        return list_checks(self.facts, self.logs, self.testinfra)

    def asked(self, ids: Sequence[str]) -> bytes:
        """Return asked.txt: a node id per line."""
        return "".join(f"{each}\n" for each in ids).encode()

    def run(self, _ids: Sequence[str], attempt: Attempt, _events: Events, _look: Look) -> Ended:
        """Run all checks; pytest's JUnit XML is the evidence."""
        status, report = run(self.facts, self.logs, attempt.mark, self.testinfra)
        attempt.stream.write(report)
        return Ended(status)

    def require(self) -> None:
        """Run all checks; raise InfrastructureError, naming the log, if one fails."""
        require(self.facts, self.logs, self.testinfra)
