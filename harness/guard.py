# SPDX-License-Identifier: Apache-2.0
"""Ends what a harness started when the harness itself was killed.

Run as a script, by path, with nothing but the standard library: it must start in milliseconds and
must not depend on an environment that is being rebuilt. Its standard input is the read end of a
pipe whose only write end the harness holds. Lines on it are ``+PGID`` and ``-PGID``; its end means
that the harness is gone, however that came about.
"""

import os
import signal
import sys
import time


def listed_groups(lines: bytes) -> set[int]:
    """Return the process groups that are still listed after ``lines``; a torn last line is not."""
    groups: set[int] = set()
    for line in lines.split(b"\n")[:-1]:
        change = groups.add if line.startswith(b"+") else groups.discard
        change(int(line[1:]))
    return groups


def signal_group(group: int, number: int) -> bool:
    """Send a signal to a process group; False when there is nothing there to take it."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def end_groups(groups: set[int], grace: float) -> None:
    """Ask the groups to end, and after ``grace`` seconds make them."""
    for group in groups:
        signal_group(group, signal.SIGTERM)
    deadline = time.monotonic() + grace
    # Nobody tells a stranger that a process group is empty, so it is asked.
    while time.monotonic() < deadline and any(signal_group(group, 0) for group in groups):
        time.sleep(0.02)
    for group in groups:
        signal_group(group, signal.SIGKILL)


def main() -> None:
    """Read the list until the harness is gone, then end what is on it."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    lines = b""
    while chunk := os.read(0, 65536):
        known, _, torn = (lines + chunk).rpartition(b"\n")
        groups = listed_groups(known + b"\n") if known else set()
        lines = b"".join(b"+%d\n" % group for group in groups) + torn
    end_groups(listed_groups(lines), grace=float(sys.argv[1]))


if __name__ == "__main__":
    main()
