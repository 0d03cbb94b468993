# SPDX-License-Identifier: Apache-2.0
"""``python -m bsdgate.harness`` is ``bsdgate``."""

import sys

from bsdgate.harness.cli import main

sys.exit(main())
