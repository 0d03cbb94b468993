# SPDX-License-Identifier: Apache-2.0
"""Checks of a node and of Ironic's API, for pytest."""
