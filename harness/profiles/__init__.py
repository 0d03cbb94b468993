# SPDX-License-Identifier: Apache-2.0
"""Profiles: what a cluster is made of, and what it therefore can and cannot be asked."""
