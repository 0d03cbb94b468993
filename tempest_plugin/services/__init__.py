# SPDX-License-Identifier: Apache-2.0
"""REST clients for APIs that tempest.lib has no client for."""
