# SPDX-License-Identifier: Apache-2.0
"""A module with a set-up that fails."""

from tempest import test
from tempest.lib import decorators


def setUpModule():
    raise RuntimeError("the module cannot start")


class TestOne(test.BaseTestCase):
    @decorators.idempotent_id("4d1d6b0c-3a55-4f2c-9a6e-0d6b7f3c1a10")
    def test_one(self):
        pass


class TestTwo(test.BaseTestCase):
    @decorators.idempotent_id("4d1d6b0c-3a55-4f2c-9a6e-0d6b7f3c1a11")
    def test_one(self):
        pass
