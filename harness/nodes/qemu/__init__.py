# SPDX-License-Identifier: Apache-2.0
"""Nodes in QEMU: guests that are booted from an image and used over ssh."""

from collections.abc import Mapping
from typing import Final

PROGRAMS: Final[Mapping[str, str]] = {
    "amd64": "qemu-system-x86_64",
    "arm64": "qemu-system-aarch64",
}
"""The program of QEMU for each architecture that a guest can have."""
