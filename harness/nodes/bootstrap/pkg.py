# SPDX-License-Identifier: Apache-2.0
"""The commands that install packages on a FreeBSD node, and their errors."""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Final

from bsdgate.harness.nodes.bootstrap.probe import Report
from bsdgate.harness.profiles import matrix

TIMEOUT: Final = 1800.0
"""The maximum number of seconds to install packages, on a node of usual speed."""
STUB: Final = "stub"

_LOCK_SECONDS: Final = 600
"""The seconds in which pkg waits for another pkg: it tries again each second."""
_NO_PACKAGE: Final = (
    "the repository does not have this package: choose another repository or branch of ports on the"
    " node, or use an image that contains the package"
)
_HINTS: Final = (
    ("No space left on device", "make room on the node: {command}"),
    ("No packages available to install matching", _NO_PACKAGE),
    ("wrong OS version", "the packages are for a newer FreeBSD: use a supported version"),
)
_HINT: Final = (
    "check that the node reaches its package repository; this must work on the node: {command}"
)


def install(report: Report, packages: Iterable[str], today: date | None = None) -> str:
    """Return the shell command that installs packages, as root; it also installs pkg itself.

    pkg refuses a system past its end of life, for which the repository has newer packages.
    """
    old = _is_past_end_of_life(report, today or datetime.now(UTC).date())
    variables = [
        "ASSUME_ALWAYS_YES=yes",
        f"LOCK_RETRIES={_LOCK_SECONDS}",
        *(["IGNORE_OSVERSION=yes"] if old else []),
    ]
    return f"env {' '.join(variables)} pkg install -y {' '.join(packages)}"


def hint(output: str, command: str) -> str:
    """Return the next step after pkg has failed with this output."""
    found = next((hint for part, hint in _HINTS if part in output), _HINT)
    return found.format(command=f"`{command}`")


def _is_past_end_of_life(report: Report, today: date) -> bool:
    number, _, branch = report.release.partition("-")
    last = matrix.end_of_life(matrix.name(number, branch.partition("-")[0]))
    return last is not None and today > last
