# SPDX-License-Identifier: Apache-2.0
"""Servers: what they hold of a host and whether they give it back."""
