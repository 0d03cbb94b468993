# SPDX-License-Identifier: Apache-2.0
"""A module that cannot be imported when the environment says so."""

import os

from tempest import test
from tempest.lib import decorators

if os.environ.get("BREAK"):
    import no_such_module  # noqa: F401


class TestBroken(test.BaseTestCase):
    @decorators.idempotent_id("4d1d6b0c-3a55-4f2c-9a6e-0d6b7f3c1a08")
    def test_one(self):
        pass


class TestBrokenToo(test.BaseTestCase):
    @decorators.idempotent_id("4d1d6b0c-3a55-4f2c-9a6e-0d6b7f3c1a09")
    def test_one(self):
        pass
