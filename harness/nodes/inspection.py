# SPDX-License-Identifier: Apache-2.0
"""Inspects a node: its properties, packages and repositories, its uptime, and its clock."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil

from bsdgate.harness.manifest import ClockDifference, Inspection
from bsdgate.harness.nodes import packages


def here() -> dict[str, Any]:
    """Return the packages, the repositories and the uptime of this machine, as JSON.

    The uptime is right even if the clock was set after the boot.
    """
    return {**packages.installed(), "uptime": time.time() - psutil.boot_time()}


def make(
    run_id: str,
    name: str,
    facts: Mapping[str, str],
    found: Mapping[str, Any],
    clock: ClockDifference,
) -> Inspection:
    """Return the inspection of the node ``name``; ``found`` is what ``here`` returned just now."""
    taken = datetime.now(UTC)
    return Inspection(
        run_id=run_id,
        name=name,
        taken=taken,
        booted=taken - timedelta(seconds=found["uptime"]),
        clock=clock,
        facts=dict(facts),
        packages=found["packages"],
        repositories=found["repositories"],
    )
