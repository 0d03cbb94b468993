# SPDX-License-Identifier: Apache-2.0
"""Checks of a node, run by pytest with testinfra."""
