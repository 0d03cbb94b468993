# SPDX-License-Identifier: Apache-2.0
"""Unpacks an image, and computes checksums of files."""

import contextlib
import hashlib
import lzma
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from bsdgate.harness import files
from bsdgate.harness.images.disk import DamagedImage
from bsdgate.harness.images.download import writing
from bsdgate.harness.images.model import Algorithm
from bsdgate.harness.images.progress import Listener

STAGE: Final = "unpack"

_CHUNK: Final = 1 << 18
_ZEROS: Final = bytes(_CHUNK)
_XZ_MAGIC: Final = b"\xfd7zXZ\0"


def is_compressed(path: Path) -> bool:
    """Return whether a file is compressed by xz."""
    with path.open("rb") as file:
        return file.read(len(_XZ_MAGIC)) == _XZ_MAGIC


def unpack(source: Path, target: Path, name: str, listener: Listener) -> str:
    """Write the content of ``source``, compressed or not, to the new file ``target``.

    Ranges of zeros become holes. Return the SHA-256 of the content.

    :raises DamagedImage: the compressed data is damaged or cut.
    """
    found = hashlib.sha256()
    with source.open("rb") as packed:
        listener.stage(STAGE, name, os.fstat(packed.fileno()).st_size)
        with writing(f"{STAGE}: {name}", target):
            fd = files.open_private(target, os.O_EXCL)
        try:
            for chunk in _content(packed, name):
                found.update(chunk)
                with writing(f"{STAGE}: {name}", target):
                    _write(fd, chunk)
                listener.advance(packed.tell())
            with writing(f"{STAGE}: {name}", target):
                os.ftruncate(fd, os.lseek(fd, 0, os.SEEK_CUR))
                os.fsync(fd)
        finally:
            os.close(fd)
    return found.hexdigest()


def digest(path: Path, algorithm: Algorithm, stage: str, name: str, listener: Listener) -> str:
    """Return the checksum of a file."""
    found = hashlib.new(algorithm)
    with path.open("rb") as file:
        listener.stage(stage, name, os.fstat(file.fileno()).st_size)
        while chunk := file.read(_CHUNK):
            found.update(chunk)
            listener.advance(file.tell())
    return found.hexdigest()


def _content(packed: BinaryIO, name: str) -> Iterator[bytes]:
    is_xz = packed.read(len(_XZ_MAGIC)) == _XZ_MAGIC
    packed.seek(0)
    try:
        with lzma.open(packed) if is_xz else contextlib.nullcontext(packed) as unpacked:
            while chunk := unpacked.read(_CHUNK):
                yield chunk
    except EOFError as error:
        raise _failure(name, "the compressed file is truncated") from error
    except lzma.LZMAError as error:
        raise _failure(name, f"the compressed file is damaged: {error}") from error


def _failure(name: str, why: str) -> DamagedImage:
    return DamagedImage(f"{STAGE}: {name}: {why}", "fetch it again, or use another image")


def _write(fd: int, chunk: bytes) -> None:
    if chunk == _ZEROS:
        os.lseek(fd, len(chunk), os.SEEK_CUR)
    else:
        files.write_all(fd, chunk)
