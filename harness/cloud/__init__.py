# SPDX-License-Identifier: Apache-2.0
"""The embedded cloud: real OpenStack services on SQLite, in one process tree.

``spec`` describes a cloud. One module per service configures that service, makes its
database and serves it. ``supervisor`` runs them; ``client`` sends requests to it.
"""
