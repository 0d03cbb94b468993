# SPDX-License-Identifier: Apache-2.0
"""Tokens and requests that a service must accept or refuse."""
