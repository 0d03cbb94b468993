# SPDX-License-Identifier: Apache-2.0
"""bsdgate.harness.nodes.qemu.node."""

from pathlib import Path

import pytest

from bsdgate.harness.nodes.qemu.node import Options, QemuNode
from bsdgate.harness.nodes.specs import QemuSpec, SavedGuest


@pytest.mark.parametrize(
    ("image", "name"),
    [
        (None, "qemu-15.1"),
        ("16.0-CURRENT", "qemu-16.0-CURRENT"),
        ("~/images/own_büro image.qcow2", "qemu-own-b-ro-image.qcow2"),
        ("https://mirror/a.raw", "qemu-a.raw"),
        (SavedGuest("one", "ready"), "qemu-ready"),
    ],
)
def test_the_name_of_a_node_is_valid_as_a_file_name(
    image: str | SavedGuest | None, name: str, tmp_path: Path
) -> None:
    node = QemuNode(QemuSpec(image), tmp_path, tmp_path, options=Options())
    assert node.name == name
