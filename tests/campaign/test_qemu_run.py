# SPDX-License-Identifier: Apache-2.0
"""A run with Keystone in a guest: all smoke tests of identity. CI runs a few of them."""

import pytest
from functional.test_qemu_node import (
    image,
    pytestmark,
    refusal,
    running,
    state,
    test_keystone_in_a_guest_passes_the_smoke_tests,
)

__all__ = (
    "image",
    "pytestmark",
    "refusal",
    "running",
    "state",
    "test_keystone_in_a_guest_passes_the_smoke_tests",
)


@pytest.fixture(scope="module")
def selection() -> str:
    """Return the pattern of the tests that run against a cloud in a guest."""
    return r"tempest\.api\.identity"
