# SPDX-License-Identifier: Apache-2.0
"""Sets the clock of a guest: a restored snapshot has the time at which it was saved."""

import time
from pathlib import Path
from typing import Final

from bsdgate.harness import process
from bsdgate.harness.errors import InfrastructureError
from bsdgate.harness.nodes import shell
from bsdgate.harness.nodes.address import Address
from bsdgate.harness.nodes.connection import environment

TOLERANCE: Final = 3.0
"""The maximum difference of the clocks in seconds, after the clock of the guest was set."""
SECONDS: Final = 120.0
"""The time limit for each time that the guest prints, on a machine of usual speed."""

_HALF: Final = 0.5
"""The mean error in seconds: the guest prints whole seconds."""
# The script prints the time of the guest, reads the time of this machine, sets the clock, and
# prints the time again. The options of date differ between FreeBSD and GNU. In a new guest from an
# official image the user becomes root with su, because root does not have a password.
_SCRIPT: Final = """
date -u +%s
read -r now
if test "$(uname)" = FreeBSD; then set -- date -u -f %s "$now"; else set -- date -u -s "@$now"; fi
try() { command -v "$1" >/dev/null && "$@" >/dev/null 2>&1 </dev/null; }
become() { try doas -n "$@" || try sudo -n "$@" || su -m root -c "$*" >/dev/null </dev/null; }
if test "$(id -u)" = 0; then "$@" >/dev/null; else become "$@"; fi || exit 1
date -u +%s
"""


def set_clock(address: Address, log: Path, factor: float = 1.0) -> float:
    """Set the clock of a guest to the time of this machine.

    Return the number of seconds by which the clock was ahead before.

    :raises InfrastructureError: the clock cannot be set.
    """
    argv = ["ssh", "-T", "-o", "BatchMode=yes", *address.options, shell.script(_SCRIPT)]
    pipe = process.PIPE
    with process.start(argv, log=log, env=environment(), stdin=pipe, stdout=pipe) as running:
        before = _read_difference(running, SECONDS * factor)
        running.write(f"{time.time():.0f}\n".encode())
        after = _read_difference(running, SECONDS * factor)
    if abs(after) > TOLERANCE * factor:
        raise InfrastructureError(
            f"the clock of the guest differs by {after:.0f} s after the clock was set",
            "destroy the guest, and boot a new guest from an image",
        )
    return before


def _read_difference(running: process.Running, seconds: float) -> float:
    """Read the time that the guest prints; return the seconds by which its clock is ahead.

    :raises InfrastructureError: the guest does not print its time.
    """
    line = running.read(seconds)
    if line is None or not line.strip().isdigit():
        status = running.wait(process.GRACE)
        what = "did not answer" if status is None else f"ended with status {status}"
        raise InfrastructureError(
            f"the clock of the guest cannot be set: {running.failure(what).message}",
            "let the user of the guest become root by sudo, doas or su without a password",
        )
    return float(line) + _HALF - time.time()
