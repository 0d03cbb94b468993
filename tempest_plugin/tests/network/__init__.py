# SPDX-License-Identifier: Apache-2.0
"""Tenant networks: isolation, MTU, and the bindings of ports."""
