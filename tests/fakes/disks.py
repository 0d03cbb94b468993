# SPDX-License-Identifier: Apache-2.0
"""Small disk images, as mkimg and qemu-img make them."""

import lzma
import struct

CLUSTER = 65536
SECTOR = 512


def qcow2(
    clusters: int = 3, *, backing: int = 0, features: int = 0, fill: bytes = b"FreeBSD "
) -> bytes:
    """Return an image with that many clusters of data."""
    l1_at, l2_at, refcounts_at, data_at = (CLUSTER * number for number in (1, 2, 3, 5))
    header = struct.pack(
        ">4sIQIIQIIQQIIQQQQII",
        *(b"QFI\xfb", 3, backing, 0, 16, 512 * CLUSTER, 0, 1, l1_at, refcounts_at, 1, 0, 0),
        *(features, 0, 0, 4, 104),
    )
    l1 = struct.pack(">Q", l2_at | 1 << 63)
    offsets = (data_at + CLUSTER * number for number in range(clusters))
    l2 = b"".join(struct.pack(">Q", offset | 1 << 63) for offset in offsets)
    parts = [header, l1, l2, struct.pack(">Q", 4 * CLUSTER), b"\0\1" * (5 + clusters)]
    data = fill * (CLUSTER // len(fill)) * clusters
    return b"".join(part.ljust(CLUSTER, b"\0") for part in parts) + data


def raw(sectors: int = 4096) -> bytes:
    """Return an image with a GPT that ends at its last sector; most of it is empty."""
    table = b"EFI PART" + bytes(24) + struct.pack("<Q", sectors - 1)
    head = bytes(510) + b"\x55\xaa" + table.ljust(SECTOR, b"\0")
    return head + bytes(SECTOR * (sectors - 3)) + table.ljust(SECTOR, b"\0")


def xz(content: bytes) -> bytes:
    """Return the content, compressed."""
    return lzma.compress(content, preset=0)
