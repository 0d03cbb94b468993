# SPDX-License-Identifier: Apache-2.0
"""REST clients for what tempest.lib has none for."""
