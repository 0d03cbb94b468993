# SPDX-License-Identifier: Apache-2.0
"""The listener: it learns from Zuul that a buildset has ended, judges it, and posts a review."""
