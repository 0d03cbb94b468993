# SPDX-License-Identifier: Apache-2.0
"""Parsers: they read recorded streams and return cases, and compare the counters of a report."""
