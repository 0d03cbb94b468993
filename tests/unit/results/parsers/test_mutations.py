# SPDX-License-Identifier: Apache-2.0
"""Parsers read damaged recordings without a crash or a hang, with results of limited size."""

import random
from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import pytest

from bsdgate.results.model import Case, Dated, Found, Outcome, Timing
from bsdgate.results.parsers import junit, rally, subunit, verification

GOLDEN = Path(__file__).resolve().parents[3] / "golden"
SEED = 20261122
MUTATIONS = 500
PARSERS: dict[str, Callable[[BinaryIO], Iterable[Found | Dated]]] = {
    "subunit": lambda stream: subunit.parse(stream, None),
    "junit": junit.parse,
    "rally": lambda stream: rally.parse(stream, {}),
    "verification": verification.parse,
}
STREAMS = sorted(str(path.relative_to(GOLDEN)) for path in GOLDEN.glob("*/*/stream.*"))
STRANGE = (
    b"\0",
    b"\xff",
    b"\xb3",
    b"\x1b[31m",
    b"<!DOCTYPE a>",
    b"&a;",
    b"NaN",
    b"1e999",
    b'"',
    b"{",
)


def flip(data: bytearray, pick: random.Random) -> None:
    data[pick.randrange(len(data))] ^= 1 << pick.randrange(8)


def remove_part(data: bytearray, pick: random.Random) -> None:
    begin = pick.randrange(len(data))
    del data[begin : begin + pick.randrange(1, 200)]


def repeat_part(data: bytearray, pick: random.Random) -> None:
    begin = pick.randrange(len(data))
    data[begin:begin] = data[begin : begin + pick.randrange(1, 2000)]


def insert_bytes(data: bytearray, pick: random.Random) -> None:
    begin = pick.randrange(len(data))
    data[begin:begin] = pick.choice(STRANGE) * pick.choice((1, 1, 1000))


def truncate(data: bytearray, pick: random.Random) -> None:
    del data[pick.randrange(len(data)) :]


def swap(data: bytearray, pick: random.Random) -> None:
    one, other = sorted((pick.randrange(len(data)), pick.randrange(len(data))))
    data[:] = data[one:other] + data[:one] + data[other:]


KINDS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    flip,
    remove_part,
    repeat_part,
    insert_bytes,
    truncate,
    swap,
)


@pytest.mark.parametrize("stream", [name for name in STREAMS if (GOLDEN / name).stat().st_size])
def test_damaged_recordings_are_read_within_bounds(stream: str) -> None:
    pick = random.Random(f"{SEED} {stream}")
    whole = (GOLDEN / stream).read_bytes()
    parse = PARSERS[stream.split("/", maxsplit=1)[0]]
    for _ in range(MUTATIONS):
        damaged = bytearray(whole)
        for way in pick.choices(KINDS, k=pick.choice((1, 1, 3))):
            if damaged:
                way(damaged, pick)
        for item in parse(BytesIO(bytes(damaged))):
            check(item)


def check(item: Found | Dated) -> None:
    if isinstance(item, Timing):
        assert 0 <= item.seconds < 1e10
        assert len(item.name) <= 5000
        item.name.encode()
    elif isinstance(item, Case):
        assert isinstance(item.outcome, Outcome)
        assert len(item.id) <= 4096
        assert len(item.reason or "") <= 1000
        assert len(item.details or "") < 100_000
        assert item.seconds is None or -1e10 < item.seconds < 1e10
        # A report has these texts, so it must be possible to encode them.
        for text in (item.id, item.reason, item.details, item.worker):
            (text or "").encode()
    elif not isinstance(item, Dated):
        assert 0 < len(item.message) < 1500
        item.message.encode()
