# SPDX-License-Identifier: Apache-2.0
"""Tempest plugin: tests for a port of OpenStack to FreeBSD that no upstream suite has."""
