# SPDX-License-Identifier: Apache-2.0
"""Skips are judged too: what explains them, and whether fewer tests ran than the last time.

A skip is explained by what the profile says of the option that makes it, by Tempest's own default
where nobody says more, or by the test itself (``rules``). Any other skip is coverage lost, unless
a known failure is written for it.
"""

from bsdgate.results.coverage.losses import explanations, fewer_ran, lost
from bsdgate.results.coverage.rules import ALWAYS, RULES, Always, Rule

__all__ = ["ALWAYS", "RULES", "Always", "Rule", "explanations", "fewer_ran", "lost"]
