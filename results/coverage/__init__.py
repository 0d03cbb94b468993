# SPDX-License-Identifier: Apache-2.0
"""Judges skips: what explains them, and whether fewer tests ran than in the last good run.

A skip is explained by the profile's value for the option that causes it, by Tempest's default if
the profile has no value, or by the test itself (``rules``). Any other skip is lost coverage,
unless a known failure expects it.
"""

from bsdgate.results.coverage.losses import explanations, fewer_ran, lost
from bsdgate.results.coverage.rules import ALWAYS, RULES, Always, Rule

__all__ = ["ALWAYS", "RULES", "Always", "Rule", "explanations", "fewer_ran", "lost"]
