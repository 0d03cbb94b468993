# SPDX-License-Identifier: Apache-2.0
"""A worker that dies as the environment says: at once, in a test or between two classes."""

import os
import signal
import unittest

WHERE, _, HOW = os.environ.get("DIE", "").partition(":")


def die(where):
    if where == WHERE and HOW == "exit":
        os._exit(0 if where != "import" else 3)
    if where == WHERE and HOW == "kill":
        os.kill(os.getpid(), signal.SIGKILL)


die("import")


class First(unittest.TestCase):
    @classmethod
    def tearDownClass(cls):
        die("between")

    def test_one(self):
        die("inside")


class Second(unittest.TestCase):
    def test_one(self):
        pass


class Third(unittest.TestCase):
    def test_one(self):
        pass


class Fourth(unittest.TestCase):
    def test_one(self):
        pass
