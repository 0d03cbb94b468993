# SPDX-License-Identifier: Apache-2.0
"""A real Zuul for tests, with ZooKeeper, PostgreSQL, Mosquitto, Gerrit and a server of logs.

All servers are in a network namespace (``supervisor``), because Zuul listens on wildcard addresses.
A relay makes them reachable on the same ports of loopback outside of it. ``stack`` starts it all
from a copy of a state that was made once, and that is kept in ``.tox/zuul-stack``.
"""
