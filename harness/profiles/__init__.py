# SPDX-License-Identifier: Apache-2.0
"""Profiles: what a cluster is made of, and which tests it can and cannot run."""
