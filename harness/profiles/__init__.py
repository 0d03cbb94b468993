# SPDX-License-Identifier: Apache-2.0
"""Profiles: the nodes, services and boards of a cluster, and the tests that it cannot run."""
