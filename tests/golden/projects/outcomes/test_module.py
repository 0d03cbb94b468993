# SPDX-License-Identifier: Apache-2.0
"""A module with a set-up that fails."""

import unittest


def setUpModule():
    raise RuntimeError("the module cannot start")


class InModule(unittest.TestCase):
    def test_one(self):
        pass
