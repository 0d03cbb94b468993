# SPDX-License-Identifier: Apache-2.0
"""Nothing fails; a class is skipped."""

import unittest


class First(unittest.TestCase):
    def test_one(self):
        pass

    def test_two(self):
        pass


class Second(unittest.TestCase):
    def test_one(self):
        pass

    @unittest.skip("not on this cloud")
    def test_two(self):
        pass


class Third(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        raise unittest.SkipTest("no volume service")

    def test_one(self):
        pass
