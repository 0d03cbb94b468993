# SPDX-License-Identifier: Apache-2.0
"""A module that cannot be imported when the environment says so."""

import os
import unittest

if os.environ.get("BREAK"):
    import no_such_module  # noqa: F401


class Broken(unittest.TestCase):
    def test_one(self):
        pass
