# SPDX-License-Identifier: Apache-2.0
"""The smallest Tempest plugin."""

import os

from tempest.test_discover import plugins


class TinyPlugin(plugins.TempestPlugin):
    def load_tests(self):
        base = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        return os.path.join(base, "tiny_plugin", "tests"), base

    def register_opts(self, conf):
        pass

    def get_opt_lists(self):
        return []
