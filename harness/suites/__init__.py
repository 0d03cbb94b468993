# SPDX-License-Identifier: Apache-2.0
"""Suites: selections of tests, as data."""
