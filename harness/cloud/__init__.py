# SPDX-License-Identifier: Apache-2.0
"""The embedded cloud: real OpenStack services on SQLite, in one process tree.

``spec`` says what a cloud is, one module a service says how that service is
configured, built and served, ``supervisor`` runs them, ``client`` talks to it.
"""
