# SPDX-License-Identifier: Apache-2.0
"""Manifests of small runs, for tests that need a run directory."""

from typing import Any

from bsdgate.harness.identity import Settings
from bsdgate.harness.manifest import Manifest, NodeDocument
from bsdgate.harness.profiles.load import load as load_profile
from bsdgate.harness.run_dir import RunDir
from bsdgate.harness.suites.model import load as load_suite


def manifest(**fields: Any) -> Manifest:
    """Return the manifest of a run of the suite smoke; ``fields`` override the others."""
    return Manifest(
        **{
            "profile": "embedded",
            "suite": "smoke",
            "release": "2026.2",
            "evidence": ("tempest",),
            "concurrency": 1,
            "profile_settings": Settings.of(load_profile("embedded")),
            "suite_settings": Settings.of(load_suite("smoke")),
            **fields,
        }
    )


def with_node(folder: RunDir) -> RunDir:
    """Write node.json to the run directory; return the directory."""
    folder.write_node(
        NodeDocument(run_id=folder.manifest.run_id, name="local", facts={}, versions={})
    )
    return folder
