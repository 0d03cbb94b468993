# SPDX-License-Identifier: Apache-2.0
"""The settings of a listener before a simulated Zuul, a real broker and a real Gerrit."""

from typing import Any

from fakes.zuul import JOB, PROJECT, TENANT, Zuul
from functional import gerrit as real
from functional.mosquitto import LISTENER, Broker

ACCOUNTS = {"broker": LISTENER, "gerrit": real.CI}
"""The accounts by the names of the files that the settings name."""


def settings(zuul: Zuul, broker: Broker, server: str) -> dict[str, Any]:
    """Return the settings for a Gerrit at the URL ``server``."""
    return {
        "broker": {
            "host": "127.0.0.1",
            "port": broker.port,
            "credentials": "broker",
            "topics": [f"zuul/{TENANT}/#"],
        },
        "zuul": {
            "url": zuul.url,
            "tenant": TENANT,
            "logs": [f"{zuul.url}/logs/"],
            "poll": 0.5,
            "grace": 60.0,
        },
        "gerrit": {"url": server, "credentials": "gerrit"},
        "pipelines": {"check": {}},
        "jobs": [JOB],
        "required": {PROJECT: [JOB]},
        "refused": ["bsdgate"],
        "state": "state",
    }
