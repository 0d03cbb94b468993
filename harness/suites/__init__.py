# SPDX-License-Identifier: Apache-2.0
"""Suites: which tests are run, as data."""
