# SPDX-License-Identifier: Apache-2.0
"""How the tests of a run are shared among the workers that run them at the same time."""

import heapq
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean

import yaml

from bsdgate.results.ids import bare

Split = list[list[str]]
"""The ids of each worker."""


def split(ids: Sequence[str], workers: int, seconds: Mapping[str, float]) -> Split:
    """Return the ids of each of ``workers``: the longest class first, to the one with least to do.

    A class is not divided, since its fixtures are made once. ``seconds`` are by id, of an earlier
    run. A test without one counts as the mean of the others, and so do the fixtures of a class.
    """
    known = [seconds[each] for each in ids if each in seconds]
    mean = fmean(known) if known else 1.0
    classes: dict[str, list[str]] = defaultdict(list)
    for each in ids:
        classes[_class(each)].append(each)
    lengths = {
        name: mean + sum(seconds.get(each, mean) for each in tests)
        for name, tests in classes.items()
    }
    shares: Split = [[] for _ in range(workers)]
    loads = [(0.0, 0, number) for number in range(workers)]
    for name in sorted(classes, key=lambda name: lengths[name], reverse=True):
        load, count, number = loads[0]
        shares[number] += classes[name]
        heapq.heapreplace(loads, (load + lengths[name], count + 1, number))
    return [share for share in shares if share]


def worker_file(shares: Sequence[Sequence[str]]) -> str:
    """Return the content of stestr's file of workers: each runs the classes that it is given.

    stestr takes all ids in which a pattern is found, of those that it is to run.
    """
    return yaml.safe_dump([{"worker": _patterns(share)} for share in shares])


def _patterns(share: Sequence[str]) -> list[str]:
    # One more name, and no dot in it: a package may be called like a class.
    method = r"\.[^.\[(]+(?:[\[(]|$)"
    return [f"^{re.escape(name)}{method}" for name in dict.fromkeys(map(_class, share))]


def _class(test_id: str) -> str:
    return bare(test_id).rpartition(".")[0]
