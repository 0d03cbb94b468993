# SPDX-License-Identifier: Apache-2.0
"""Reads a file that may be compressed with gzip, as the logs of CI jobs are.

Memory is bounded by the sizes of the reads. Time is bounded by a maximum of unpacked bytes, because
a small file can unpack to a thousand times its size.
"""

import zlib
from collections.abc import Iterator
from gzip import BadGzipFile, GzipFile
from io import BytesIO
from typing import BinaryIO

from bsdgate.results.model import Code, Reason, error

MAGIC = b"\x1f\x8b"

UNPACKED_BOUND = 1 << 30
"""The maximum number of unpacked bytes of a compressed file."""

_CHUNK = 1 << 16


class Reader(BytesIO):
    """Reads the content of a file, and unpacks it if the file begins like gzip.

    A damaged or truncated file is read as far as it can be unpacked; ``problem`` is then the error.
    """

    def __init__(self, file: BinaryIO, bound: int) -> None:
        super().__init__()
        self._room = self._bound = min(bound, UNPACKED_BOUND)
        self._gzip = GzipFile(fileobj=file) if file.read(len(MAGIC)) == MAGIC else None
        file.seek(0)
        self._file = file
        self.problem: Reason | None = None

    def read(self, size: int | None = -1, /) -> bytes:
        """Return ``size`` bytes; fewer only at the end of the content."""
        if self._gzip is None:
            return self._file.read(-1 if size is None else size)
        wanted = self._room + 1 if size is None or size < 0 else size
        pieces = []
        while wanted > 0 and self.problem is None and (piece := self._unpacked(self._gzip, wanted)):
            pieces.append(piece)
            wanted -= len(piece)
        return b"".join(pieces)

    def problems(self) -> Iterator[Reason]:
        """Yield the problem of the content read so far, if there is one."""
        if self.problem is not None:
            yield self.problem

    def _unpacked(self, file: GzipFile, size: int) -> bytes:
        """Return the next unpacked bytes, at most ``size``; none at the end."""
        piece = b""
        try:
            piece = file.read1(min(size, _CHUNK))
        except EOFError:
            self.problem = error(Code.TRUNCATED, "the gzip data is truncated")
        except (BadGzipFile, zlib.error) as reason:
            self.problem = error(Code.DAMAGED, f"the gzip data is damaged: {reason}")
        self._room -= len(piece)
        if self._room < 0:
            message = f"the unpacked content has more than {self._bound} bytes"
            self.problem = error(Code.TOO_LARGE, message)
        return piece
