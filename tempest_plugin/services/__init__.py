# SPDX-License-Identifier: Apache-2.0
"""REST clients for APIs without a client in tempest.lib."""
