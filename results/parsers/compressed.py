# SPDX-License-Identifier: Apache-2.0
"""Reads a file that may be compressed with gzip, as the logs of CI jobs are.

Memory is bounded by the sizes of the reads, time by the bound of the unpacked bytes: a small file
can unpack to a thousand times its size.
"""

import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import BinaryIO

from bsdgate.results.model import Code, Reason, error

MAGIC = b"\x1f\x8b"

UNPACKED_BOUND = 1 << 30
"""Bytes that a compressed file may unpack to."""

_CHUNK = 1 << 16
_GZIP = 31  # for zlib: a window of 32 KiB, and the header and checksum of gzip


class Reader(BytesIO):
    """Reads the content of a file, unpacked if it begins like gzip.

    A damaged or cut file is read as far as it can be unpacked; ``problem`` is then the error.
    """

    def __init__(self, file: BinaryIO, bound: int) -> None:
        super().__init__()
        self._file = file
        self._room = min(bound, UNPACKED_BOUND)
        self._head = file.read(len(MAGIC))
        self._unpacker = zlib.decompressobj(_GZIP) if self._head == MAGIC else None
        self.problem: Reason | None = None

    def read(self, size: int | None = -1, /) -> bytes:
        """Read ``size`` bytes, fewer only at the end."""
        wanted = self._room + 1 if size is None or size < 0 else size
        if self._unpacker is None:
            head, self._head = self._head[:wanted], self._head[wanted:]
            return head + self._file.read(wanted - len(head))
        pieces = []
        while wanted > 0 and self.problem is None and (piece := self._unpacked(wanted)):
            pieces.append(piece)
            wanted -= len(piece)
        return b"".join(pieces)

    def problems(self) -> Iterator[Reason]:
        """Yield the problem of the content read so far, if there is one."""
        if self.problem is not None:
            yield self.problem

    def _unpacked(self, size: int) -> bytes:
        """The next bytes, at most ``size``; none at the end."""
        assert self._unpacker is not None
        piece, packed = b"", b"start"
        try:
            while packed and not piece:
                packed = self._packed()
                # The unpacker may still hold some bytes when the file has no more.
                piece = self._unpacker.decompress(packed, size)
        except zlib.error as reason:
            self.problem = error(Code.DAMAGED, f"the gzip data is damaged: {reason}")
        if not piece and self.problem is None and not self._unpacker.eof:
            self.problem = error(Code.TRUNCATED, "it is gzip that has no end")
        self._room -= len(piece)
        if self._room < 0:
            self.problem = error(Code.TOO_LARGE, "it unpacks to more than what is read of its kind")
        return piece

    def _packed(self) -> bytes:
        """The next compressed bytes. Another gzip file may follow the first."""
        assert self._unpacker is not None
        left, self._head = self._head or self._unpacker.unconsumed_tail, b""
        if not self._unpacker.eof:
            return left + (b"" if left[len(MAGIC) :] else self._file.read(_CHUNK))
        left = (self._unpacker.unused_data or self._file.read(_CHUNK)).lstrip(b"\0")
        if left:
            self._unpacker = zlib.decompressobj(_GZIP)
        return left
