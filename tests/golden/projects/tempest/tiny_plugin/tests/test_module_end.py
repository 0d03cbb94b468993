# SPDX-License-Identifier: Apache-2.0
"""A module with a tear-down that fails after its tests have passed."""

from tempest import test
from tempest.lib import decorators


def tearDownModule():
    raise RuntimeError("the module left a network behind")


class TestOne(test.BaseTestCase):
    @decorators.idempotent_id("4d1d6b0c-3a55-4f2c-9a6e-0d6b7f3c1a12")
    def test_one(self):
        pass
