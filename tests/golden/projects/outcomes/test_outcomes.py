# SPDX-License-Identifier: Apache-2.0
"""Every way in which a test of testtools ends."""

import unittest

import testtools


class Outcomes(testtools.TestCase):
    def test_success(self):
        print("a test may print")

    def test_fail(self):
        self.addDetail("service log", testtools.content.text_content("line 1\nline 2\n"))
        self.assertEqual(1, 2)

    def test_skip(self):
        self.skipTest("not on this cloud")

    @unittest.expectedFailure
    def test_xfail(self):
        self.assertEqual(1, 2)

    @unittest.expectedFailure
    def test_uxsuccess(self):
        pass


class Sub(unittest.TestCase):
    def test_subtests(self):
        for number in range(3):
            with self.subTest(number=number):
                self.assertEqual(0, number)


class SkippedClass(testtools.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        raise cls.skipException("no volume service")

    def test_one(self):
        pass

    def test_two(self):
        pass


class BrokenSetUp(testtools.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        raise RuntimeError("no network could be made")

    def test_one(self):
        pass

    def test_two(self):
        pass


class BrokenTearDown(testtools.TestCase):
    @classmethod
    def tearDownClass(cls):
        raise RuntimeError("a server was left behind")

    def test_one(self):
        pass
