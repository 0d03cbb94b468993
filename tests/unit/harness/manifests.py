# SPDX-License-Identifier: Apache-2.0
"""Manifests of small runs, for tests that need a run directory."""

from typing import Any

from bsdgate.harness.identity import Settings
from bsdgate.harness.manifest import Manifest
from bsdgate.harness.profiles.load import load as load_profile
from bsdgate.harness.suites.model import load as load_suite


def manifest(**fields: Any) -> Manifest:
    """Return the manifest of a run of the suite smoke; ``fields`` go over the others."""
    return Manifest(
        **{
            "profile": "embedded",
            "suite": "smoke",
            "release": "2026.2",
            "evidence": ("tempest",),
            "concurrency": 1,
            "seed": 1,
            "versions": {},
            "profile_settings": Settings.of(load_profile("embedded")),
            "suite_settings": Settings.of(load_suite("smoke")),
            **fields,
        }
    )
