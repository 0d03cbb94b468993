# SPDX-License-Identifier: Apache-2.0
"""Tests on Tempest's own base class, which need no cloud."""

from tempest import test
from tempest.lib import decorators


class TestRuns(test.BaseTestCase):
    @decorators.attr(type="smoke")
    @decorators.idempotent_id("4d1d6b0c-3a55-4f2c-9a6e-0d6b7f3c1a01")
    def test_success(self):
        pass

    @decorators.attr(type=["smoke", "gate"])
    @decorators.idempotent_id("4d1d6b0c-3a55-4f2c-9a6e-0d6b7f3c1a02")
    def test_fail(self):
        self.assertEqual("ACTIVE", "ERROR")

    @decorators.idempotent_id("4d1d6b0c-3a55-4f2c-9a6e-0d6b7f3c1a03")
    @decorators.skip_because(bug="1234567")
    def test_skip(self):
        pass


class TestSkipped(test.BaseTestCase):
    @classmethod
    def skip_checks(cls):
        super().skip_checks()
        raise cls.skipException("the volume service is not available")

    @decorators.idempotent_id("4d1d6b0c-3a55-4f2c-9a6e-0d6b7f3c1a04")
    def test_one(self):
        pass

    @decorators.idempotent_id("4d1d6b0c-3a55-4f2c-9a6e-0d6b7f3c1a05")
    def test_two(self):
        pass


class TestSetUpFails(test.BaseTestCase):
    @classmethod
    def resource_setup(cls):
        super().resource_setup()
        raise RuntimeError("no network could be made")

    @decorators.idempotent_id("4d1d6b0c-3a55-4f2c-9a6e-0d6b7f3c1a06")
    def test_one(self):
        pass


class TestTearDownFails(test.BaseTestCase):
    @classmethod
    def resource_cleanup(cls):
        super().resource_cleanup()
        raise RuntimeError("a server was left behind")

    @decorators.idempotent_id("4d1d6b0c-3a55-4f2c-9a6e-0d6b7f3c1a07")
    def test_one(self):
        pass
