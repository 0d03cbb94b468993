# SPDX-License-Identifier: Apache-2.0
"""Splits the tests of a run among the workers that run at the same time."""

import heapq
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean

import yaml

from bsdgate.results.ids import bare

Split = Sequence[Sequence[str]]
"""The ids of each worker."""


def split(ids: Sequence[str], workers: int, seconds: Mapping[str, float]) -> Split:
    """Return the ids for each worker: the longest class first, to the worker with the least time.

    A class is not divided, because its fixtures are made once. ``seconds`` are the durations in an
    earlier run, by id. A test without a duration, and the fixtures of a class, count as the mean.
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
    shares: list[list[str]] = [[] for _ in range(workers)]
    loads = [(0.0, 0, number) for number in range(workers)]
    for name in sorted(classes, key=lambda name: lengths[name], reverse=True):
        load, count, number = loads[0]
        shares[number] += classes[name]
        heapq.heapreplace(loads, (load + lengths[name], count + 1, number))
    return [share for share in shares if share]


def replay(
    recorded: Split, ids: Sequence[str], workers: int, seconds: Mapping[str, float]
) -> Split:
    """Return the ids for each worker as in ``recorded``, in the same order.

    Ids that are not recorded are split by ``split``, and added to the workers.
    """
    requested = set(ids)
    shares = [[each for each in share if each in requested] for share in recorded]
    known = {each for share in shares for each in share}
    added = split([each for each in ids if each not in known], workers, seconds)
    shares += [[] for _ in range(len(added) - len(shares))]
    for share, more in zip(shares, added, strict=False):
        share += more
    return [share for share in shares if share]


def worker_file(shares: Sequence[Sequence[str]]) -> str:
    """Return the content of stestr's worker file, with patterns for the classes of each worker.

    A worker runs the requested tests with an id in which one of its patterns is found.
    """
    return yaml.safe_dump([{"worker": _patterns(share)} for share in shares])


def _patterns(share: Sequence[str]) -> list[str]:
    # Then a name without a dot: a package may have the same name as a class.
    method = r"\.[^.\[(]+(?:[\[(]|$)"
    return [f"^{re.escape(name)}{method}" for name in dict.fromkeys(map(_class, share))]


def _class(test_id: str) -> str:
    return bare(test_id).rpartition(".")[0]
