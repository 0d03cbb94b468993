# SPDX-License-Identifier: Apache-2.0
"""The format of a disk image, by its content; an image that is cut or refers to others is refused.

The layout of qcow2 is in QEMU's ``docs/interop/qcow2.rst``.
"""

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from bsdgate.harness.errors import InfrastructureError
from bsdgate.harness.images.model import Format

STAGE: Final = "check"

_QCOW2_MAGIC: Final = b"QFI\xfb"
_VERSIONS: Final = (2, 3)
_HEADER: Final = struct.Struct(">4sIQIIQIIQQI")
_FEATURES: Final = struct.Struct(">Q")
_FEATURES_AT: Final = 72
_EXTERNAL_DATA: Final = 1 << 2
_COMPRESSED: Final = 1 << 62
_OFFSET: Final = 0x00FF_FFFF_FFFF_FE00
_CLUSTER_BITS: Final = range(9, 22)
_L1_MAX: Final = 1 << 22

_SECTOR: Final = 512
_GPT: Final = struct.Struct("<8s24xQ")
_GPT_MAGIC: Final = b"EFI PART"
_OTHERS: Final = {b"KDMV": "vmdk", b"conectix": "vhd", b"vhdxfile": "vhdx", b"\xfd7zXZ\0": "xz"}


class DamagedImage(InfrastructureError):
    """The content of a file cannot be used; fetching the same file again does not help."""


def format_of(path: Path, name: str) -> Format:
    """Return the format of an image; ``name`` is its name in errors.

    :raises DamagedImage: it is not a disk image, is cut, or refers to another file.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(_SECTOR)
        problem = _problem_of_qcow2(file, size) if _is_qcow2(head) else _problem_of_raw(file, size)
    if problem:
        raise DamagedImage(
            f"{STAGE}: {name}: {problem}",
            f"get the image again, or give another one; the file was {path}",
        )
    return Format.QCOW2 if _is_qcow2(head) else Format.RAW


def _is_qcow2(head: bytes) -> bool:
    return head.startswith(_QCOW2_MAGIC)


@dataclass(frozen=True)
class _Qcow2:
    """The fields of a header that are needed here."""

    version: int
    backing_file: int
    cluster_bits: int
    l1_size: int
    l1_offset: int
    refcount_offset: int


def _problem_of_qcow2(file: BinaryIO, size: int) -> str | None:
    file.seek(0)
    head = file.read(_FEATURES_AT + _FEATURES.size)
    if len(head) < _HEADER.size:
        return "it is truncated: its header is not complete"
    fields = _HEADER.unpack_from(head)
    header = _Qcow2(fields[1], fields[2], fields[4], fields[7], fields[8], fields[9])
    wrong_bits = header.cluster_bits not in _CLUSTER_BITS
    if header.version not in _VERSIONS or wrong_bits or header.l1_size > _L1_MAX:
        return "its header is damaged"
    # The first version ends before its features.
    new = header.version > min(_VERSIONS) and len(head) == _FEATURES_AT + _FEATURES.size
    features = _FEATURES.unpack_from(head, _FEATURES_AT)[0] if new else 0
    if header.backing_file or features & _EXTERNAL_DATA:
        return "its data is in another file, which the image names"
    end = max(header.l1_offset + 8 * header.l1_size, header.refcount_offset, _end(file, header))
    if end > size:
        return f"it is truncated: it has {size} bytes, and refers to byte {end}"
    return None


def _end(file: BinaryIO, header: _Qcow2) -> int:
    """Return the greatest offset in the tables."""
    tables = [entry & _OFFSET for entry in _read_table(file, header.l1_offset, header.l1_size)]
    entries = 1 << (header.cluster_bits - 3)
    end = max(tables, default=0)
    for table in filter(None, tables):
        for entry in _read_table(file, table, entries):
            if not entry & _COMPRESSED:
                end = max(end, entry & _OFFSET)
    return end


def _read_table(file: BinaryIO, offset: int, entries: int) -> tuple[int, ...]:
    """Return the entries of a table; if the file ends too early, those that are there."""
    file.seek(offset)
    found = file.read(8 * entries)
    return struct.unpack(f">{len(found) // 8}Q", found[: len(found) // 8 * 8])


def _problem_of_raw(file: BinaryIO, size: int) -> str | None:
    file.seek(0)
    head = file.read(2 * _SECTOR)
    for magic, name in _OTHERS.items():
        if head.startswith(magic):
            return f"it has the format {name}, which is not supported"
    if not size or size % _SECTOR or head.lstrip().startswith(b"<"):
        return f"it is not a disk image: not qcow2, and not sectors of {_SECTOR} bytes ({size})"
    if head[_SECTOR:].startswith(_GPT_MAGIC):
        _, last = _GPT.unpack_from(head, _SECTOR)
        if (last + 1) * _SECTOR > size:
            return f"it is truncated: it has {size} bytes of {(last + 1) * _SECTOR}"
    return None
