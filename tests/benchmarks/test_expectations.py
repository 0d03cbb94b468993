# SPDX-License-Identifier: Apache-2.0
"""The time for 500 known failures and 2,000 tests: printed, not asserted.

``pytest -s tests/benchmarks/test_expectations.py``, in CPU time. Each test is looked up twice,
like in the judge: for its outcome, and for entries that matched nothing. For comparison, one
regular expression of all globs, which only finds whether there is an entry.
"""

import random
import re
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from bsdgate.results.expectations import Expectation, Expectations, load, unmatched_names
from bsdgate.results.expectations.scope import glob
from bsdgate.results.ids import bare, idempotent
from bsdgate.results.model import Outcome

CASES, ENTRIES, ROUNDS = 2000, 500, 5


def some_ids() -> list[str]:
    chance = random.Random(1)
    return [
        f"tempest.api.area{number % 9}.test_module{number % 97}.Class{number % 211}JSON."
        f"test_do_{chance.choice('abcdefgh')}_something_{number}"
        f"[id-{chance.getrandbits(32):08x}-0be6-4dd7-a9ee-{number:012x}]"
        for number in range(CASES)
    ]


IDS = some_ids()
SHAPES: dict[str, Callable[[int, str], str]] = {
    "exact ids": lambda _, test: test,
    "idempotent ids": lambda _, test: f"id-{idempotent(test)}",
    "globs of classes": lambda _, test: f"{bare(test).rpartition('.')[0]}.*",
    "globs of packages and names": lambda _, test: f"tempest.api.*.{bare(test).split('.')[-1]}*",
    "globs that begin with *": lambda _, test: f"*{bare(test).split('.')[-1]}*",
    "a fifth of each": lambda number, test: [*SHAPES.values()][number % 5](number, test),
}


def fastest(work: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times) * 1000


@pytest.mark.parametrize("shape", SHAPES)
def test_entries_are_looked_up(shape: str) -> None:
    chance = random.Random(2)
    day = date(2027, 1, 1)
    entries = [
        Expectation(
            SHAPES[shape](number, chance.choice(IDS)),
            bug="u",
            owner="o",
            reason="r",
            since=day,
            expires=day,
        )
        for number in range(ENTRIES)
    ]

    def look_up() -> None:
        known = Expectations(entries)
        for test in IDS:
            known.of(test)
        unmatched_names(known, ((test, Outcome.SUCCESS) for test in IDS))

    def ask_one_regex() -> None:
        every = re.compile("|".join(f"(?:{glob(entry.test).pattern})" for entry in entries))
        for test in IDS:
            assert every.fullmatch(test) or every.fullmatch(bare(test)) or True

    re.purge()
    ours = fastest(look_up)
    print(f"  {shape:32} {ours:7.1f} ms, one regex {fastest(ask_one_regex):7.1f} ms")


def test_entries_are_read(tmp_path: Path) -> None:
    file = tmp_path / "known.yaml"
    file.write_text(
        "".join(
            f"- test: {bare(test)}\n  bug: https://bugs.example.org/{number}\n  owner: jane\n"
            "  reason: fake servers have no rescue disk\n  since: 2026-11-01\n"
            '  expires: 2027-05-01\n  scope: {profile: embedded, freebsd: ">=15.0"}\n'
            for number, test in enumerate(IDS[:ENTRIES])
        )
    )
    print(f"  {'500 entries read':32} {fastest(lambda: load([file])):7.1f} ms")
