# SPDX-License-Identifier: Apache-2.0
"""Ways in which the same evidence may be written otherwise, which change no verdict."""

import json
import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from itertools import pairwise
from typing import Any, Final

from subunit.v2 import StreamResultToBytes

from corruption.evidence import SEAL, Evidence, Packet, packets, resealed

Rewrite = Callable[[random.Random, Evidence], Evidence]


_TESTCASE = re.compile(
    r'<testcase\b(?P<name> classname="[^"]*" name="[^"]*")[^>]*?(?:/>|>.*?</testcase>)', re.DOTALL
)


def _repacked(run: Evidence, change: Callable[[list[Packet]], list[Packet]]) -> Evidence:
    for path in run.find("/stream.subunit"):
        found = packets(run.files[path])
        seal = [each for each in found if each.file_name == SEAL]
        rest = [each for each in found if each.file_name != SEAL]
        run = run.with_file(path, b"".join(each.data for each in change(rest) + seal))
    return run


def interleave(rng: random.Random, run: Evidence) -> Evidence:
    """Workers write at other moments, each its own packets in their order."""

    def merge(found: list[Packet]) -> list[Packet]:
        lanes: dict[str | None, list[Packet]] = defaultdict(list)
        for each in found:
            lanes[each.worker].append(each)
        slots = [each.worker for each in found]
        rng.shuffle(slots)
        taken = {worker: iter(lane) for worker, lane in lanes.items()}
        return [next(taken[worker]) for worker in slots]

    return _repacked(run, merge)


def reorder_tests(rng: random.Random, run: Evidence) -> Evidence:
    """The tests ran in another order, each with its packets in their order."""

    def shuffle(found: list[Packet]) -> list[Packet]:
        tests: dict[str | None, list[Packet]] = defaultdict(list)
        for each in found:
            tests[each.test_id].append(each)
        order = list(tests)
        rng.shuffle(order)
        return [each for test_id in order for each in tests[test_id]]

    return _repacked(run, shuffle)


def rechunk(rng: random.Random, run: Evidence) -> Evidence:
    """Attachments come in other pieces: each packet that bears some of one is several."""

    def split(packet: Packet) -> Iterator[dict[str, Any]]:
        content = packet.reported["file_bytes"]
        sizes = sorted(rng.sample(range(1, len(content)), min(3, len(content) - 1)))
        pieces = [content[begin:end] for begin, end in pairwise([0, *sizes, len(content)])]
        for piece in pieces[:-1]:
            yield {**packet.reported, "file_bytes": piece, "test_status": None, "eof": False}
        yield {**packet.reported, "file_bytes": pieces[-1]}

    for path in run.find("/stream.subunit"):
        out = BytesIO()
        for each in packets(run.files[path]):
            if each.file_name == SEAL:
                continue
            if each.reported["file_bytes"]:
                for reported in split(each):
                    StreamResultToBytes(out).status(**reported)
            else:
                out.write(each.data)
        run = resealed(run, path, out.getvalue())
    return run


def reorder_list(rng: random.Random, run: Evidence) -> Evidence:
    """The list of what was asked is in another order, with blank lines in it."""
    for path in run.find("/asked.txt"):
        ids = run.files[path].decode().splitlines()
        rng.shuffle(ids)
        ids.insert(rng.randrange(len(ids) + 1), "")
        run = run.with_file(path, "\n".join([*ids, ""]).encode())
    return run


def reorder_xml(rng: random.Random, run: Evidence) -> Evidence:
    """The cases of a JUnit report are in another order, on lines of their own.

    Where a test and its teardown both fail, pytest writes two elements, one behind the other.
    """
    for path in run.find("/stream.xml"):
        content = run.files[path].decode()
        tests: dict[str, list[str]] = defaultdict(list)
        for found in re.finditer(_TESTCASE, content):
            tests[found["name"]].append(found[0])
        for case in (each for cases in tests.values() for each in cases):
            content = content.replace(case, "\0", 1)
        order = list(tests)
        rng.shuffle(order)
        for case in (each for name in order for each in tests[name]):
            content = content.replace("\0", f"\n  {case}\n", 1)
        run = run.with_file(path, content.encode())
    return run


def print_json(rng: random.Random, run: Evidence) -> Evidence:
    """JSON is printed with other spaces, its keys in another order."""

    def shuffled(value: Any) -> Any:
        if isinstance(value, dict):
            keys = list(value)
            rng.shuffle(keys)
            return {key: shuffled(value[key]) for key in keys}
        return [shuffled(each) for each in value] if isinstance(value, list) else value

    for path in run.find(".json"):
        indent = rng.choice([None, 1, 4])
        text = json.dumps(shuffled(json.loads(run.files[path])), indent=indent)
        run = run.with_file(path, text.encode() + b"\n" * rng.randrange(3))
    return run


REWRITES: Final[Mapping[str, Rewrite]] = {
    each.__name__: each
    for each in (interleave, reorder_tests, rechunk, reorder_list, reorder_xml, print_json)
}
