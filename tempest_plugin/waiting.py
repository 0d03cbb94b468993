# SPDX-License-Identifier: Apache-2.0
"""Waits for a state that an API reports."""

from collections.abc import Callable

from tempest.lib import exceptions
from tempest.lib.common.utils import test_utils

INTERVAL = 0.2
"""Seconds between two checks: short enough for a cloud without hardware."""


def wait_for(check: Callable[[], bool], timeout: float, what: str) -> None:
    """Call ``check`` until it returns True, at least once.

    :raises TimeoutException: this took more than ``timeout`` seconds; the message has
        ``what``, the expected state.
    """
    # With a timeout of 0, call_until_true does not call ``check``.
    if not test_utils.call_until_true(check, timeout, INTERVAL) and not check():
        raise exceptions.TimeoutException(f"waited more than {timeout} s for {what}")
