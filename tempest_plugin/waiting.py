# SPDX-License-Identifier: Apache-2.0
"""Waiting for what an API says."""

from collections.abc import Callable

from tempest.lib import exceptions
from tempest.lib.common.utils import test_utils

INTERVAL = 0.2
"""Seconds between two questions: short enough for a cloud without hardware."""


def wait_for(check: Callable[[], bool], timeout: float, what: str) -> None:
    """Ask until ``check`` says yes, at least once.

    ``what`` names what is waited for; tempest.lib's TimeoutException carries it
    when ``timeout`` seconds were not enough.
    """
    # The last question is for a timeout of 0, which asks nothing.
    if not test_utils.call_until_true(check, timeout, INTERVAL) and not check():
        raise exceptions.TimeoutException(f"{what}: not within {timeout} s")
