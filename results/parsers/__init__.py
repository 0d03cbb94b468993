# SPDX-License-Identifier: Apache-2.0
"""Parsers: recorded streams into cases. A parser counts by itself; counters are only compared."""
