# SPDX-License-Identifier: Apache-2.0
"""A plugin of pytest: after SIGTERM, pytest still reports the checks that have ended."""

import signal


def pytest_configure() -> None:
    """Handle SIGTERM as pytest handles Ctrl-C: it ends the checks, and writes the report."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
