# SPDX-License-Identifier: Apache-2.0
"""Runners: they run the tests of a suite, or the host checks, and write the evidence."""
