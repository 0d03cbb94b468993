# SPDX-License-Identifier: Apache-2.0
"""Tempest plugin: what a port of OpenStack to FreeBSD needs proven and no upstream suite proves."""
