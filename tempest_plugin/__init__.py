# SPDX-License-Identifier: Apache-2.0
"""Tempest plugin: tests for OpenStack on FreeBSD that no upstream suite has."""
