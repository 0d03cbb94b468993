# SPDX-License-Identifier: Apache-2.0
"""Parsers: they read the reports of test runners, and yield cases and problems."""
