# SPDX-License-Identifier: Apache-2.0
"""Runners: what runs the tests of a suite, and the host checks, and leaves evidence."""
