# SPDX-License-Identifier: Apache-2.0
"""Formats of disk images, and images that are not usable."""

from pathlib import Path

import pytest
from fakes import disks

from bsdgate.harness.images.disk import DamagedImage, format_of
from bsdgate.harness.images.model import Format

QCOW2, RAW = disks.qcow2(), disks.raw()


@pytest.mark.parametrize(
    ("content", "expected"),
    [(QCOW2, Format.QCOW2), (RAW, Format.RAW), (bytes(disks.SECTOR * 8), Format.RAW)],
)
def test_the_format_is_seen_in_the_content(
    tmp_path: Path, content: bytes, expected: Format
) -> None:
    path = tmp_path / "image"
    path.write_bytes(content)
    assert format_of(path, "an image") == expected


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (QCOW2[:40], "it is truncated: its header is not complete"),
        (QCOW2[: disks.CLUSTER * 4], "it is truncated: it has 262144 bytes, and refers to byte"),
        (QCOW2[: disks.CLUSTER * 2], "it is truncated"),
        (QCOW2[: -disks.CLUSTER - 1], "it is truncated"),
        (disks.qcow2(backing=104), "its data is in another file, which the image names"),
        (disks.qcow2(features=4), "its data is in another file, which the image names"),
        (b"QFI\xfb" + b"\xff" * 200, "its header is damaged"),
        (RAW[: disks.SECTOR * 100], "it is truncated: it has 51200 bytes of 2097152"),
        (b"", "it is not a disk image"),
        (RAW + b"more", "it is not a disk image"),
        (b"<html>".ljust(disks.SECTOR), "it is not a disk image"),
        (b"KDMV".ljust(disks.SECTOR), "it has the format vmdk, which is not supported"),
        (disks.xz(disks.xz(RAW)), "it has the format xz, which is not supported"),
    ],
)
def test_an_image_that_is_not_usable_is_refused(
    tmp_path: Path, content: bytes, problem: str
) -> None:
    path = tmp_path / "image"
    path.write_bytes(content)
    with pytest.raises(DamagedImage) as error:
        format_of(path, "an image")
    assert error.value.message.startswith(f"check: an image: {problem}")
    assert str(path) in (error.value.hint or "")
