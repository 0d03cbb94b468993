# SPDX-License-Identifier: Apache-2.0
"""Tenant networks: kept apart, sized right, bound where the server runs."""
