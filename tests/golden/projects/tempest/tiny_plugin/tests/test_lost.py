# SPDX-License-Identifier: Apache-2.0
"""A worker that dies as the environment says: before, in or after the first class's test."""

import os
import signal

from tempest import test
from tempest.lib import decorators

WHERE, _, HOW = os.environ.get("DIE", "").partition(":")


def die(where):
    if where == WHERE and HOW == "exit":
        os._exit(0)
    if where == WHERE and HOW == "kill":
        os.kill(os.getpid(), signal.SIGKILL)


class TestFirst(test.BaseTestCase):
    @classmethod
    def resource_setup(cls):
        super().resource_setup()
        die("before")

    @classmethod
    def resource_cleanup(cls):
        super().resource_cleanup()
        die("between")

    @decorators.idempotent_id("4d1d6b0c-3a55-4f2c-9a6e-0d6b7f3c1a13")
    def test_one(self):
        die("inside")


class TestSecond(test.BaseTestCase):
    @decorators.idempotent_id("4d1d6b0c-3a55-4f2c-9a6e-0d6b7f3c1a14")
    def test_one(self):
        pass


class TestThird(test.BaseTestCase):
    @decorators.idempotent_id("4d1d6b0c-3a55-4f2c-9a6e-0d6b7f3c1a15")
    def test_one(self):
        pass


class TestFourth(test.BaseTestCase):
    @decorators.idempotent_id("4d1d6b0c-3a55-4f2c-9a6e-0d6b7f3c1a16")
    def test_one(self):
        pass
