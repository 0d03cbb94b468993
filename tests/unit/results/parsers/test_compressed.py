# SPDX-License-Identifier: Apache-2.0
import gzip
import random
import tracemalloc
from io import BytesIO

import pytest

from bsdgate.results.model import Code
from bsdgate.results.parsers.compressed import Reader

BOUND = 1 << 20
WHOLE = random.Random(20261122).randbytes(50_000) + b"line\n" * 50_000


def decompressed(
    content: bytes, size: int = 1 << 16, bound: int = BOUND
) -> tuple[bytes, Code | None]:
    reader = Reader(BytesIO(content), bound)
    pieces = list(iter(lambda: reader.read(size), b""))
    assert all(len(piece) == size for piece in pieces[:-1])
    return b"".join(pieces), reader.problem.code if reader.problem else None


@pytest.mark.parametrize("size", [7, 1 << 10, 1 << 16, BOUND, -1])
@pytest.mark.parametrize("whole", [WHOLE, b"", b"x", b"\x1f", b"a\x1f\x8b"])
def test_a_compressed_file_reads_like_the_plain_file(whole: bytes, size: int) -> None:
    if size > 0:
        assert (
            decompressed(whole, size) == decompressed(gzip.compress(whole), size) == (whole, None)
        )
    assert Reader(BytesIO(gzip.compress(whole)), BOUND).read() == whole


def test_concatenated_gzip_files_are_read_and_trailing_zeros_ignored() -> None:
    parts = gzip.compress(b"one") + gzip.compress(b"") + gzip.compress(b"two")
    assert decompressed(parts + bytes(100_000)) == (b"onetwo", None)


@pytest.mark.parametrize("left", [2, 5, 11, 100, 40_000, -9, -8, -1])
def test_a_truncated_file_is_read_up_to_the_cut(left: int) -> None:
    content, problem = decompressed(gzip.compress(WHOLE)[:left])
    assert problem is Code.TRUNCATED
    assert WHOLE.startswith(content)
    assert len(content) > left - 1000


@pytest.mark.parametrize("place", [3, 20_000, -8, -1])
def test_a_flipped_byte_is_an_error(place: int) -> None:
    damaged = bytearray(gzip.compress(WHOLE))
    damaged[place] ^= 0xFF
    assert decompressed(bytes(damaged))[1] in {Code.DAMAGED, Code.TRUNCATED}


def test_plain_text_after_the_gzip_data_is_an_error() -> None:
    assert decompressed(gzip.compress(b"one") + b"text")[1] is Code.DAMAGED


def test_a_decompression_bomb_is_read_in_limited_memory() -> None:
    bomb = gzip.compress(bytes(50 << 20))
    tracemalloc.start()
    reader = Reader(BytesIO(bomb), BOUND)
    size = sum(map(len, iter(lambda: reader.read(1 << 16), b"")))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert reader.problem is not None
    assert reader.problem.code is Code.TOO_LARGE
    assert size <= BOUND + (1 << 16)
    assert peak < 2 << 20
