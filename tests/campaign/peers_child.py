# SPDX-License-Identifier: Apache-2.0
"""Runs a change-point detector on series, in an environment with the detector.

Reads a JSON request from standard input, and writes a result for each series:

``changes``: the positions of changes; ``delay``: the number of points after ``after`` until a
detector that runs at each new point finds a change, or null; ``online``: whether it finds a change
in a series of noise when it runs at each ``stride``-th point; ``least`` (Otava only): the least
p-value of these changes.
"""

import json
import math
import sys
from collections.abc import Callable
from typing import Any


def otava(values: list[float], pvalue: float) -> list[int]:
    from otava.analysis import compute_change_points

    found, _ = compute_change_points(values, max_pvalue=pvalue)
    return [int(change.index) for change in found]


def ruptures(values: list[float], penalty: float) -> list[int]:
    import numpy
    from ruptures import KernelCPD

    signal = numpy.array(values)
    # The penalty is in squared deviations of neighbours, which do not depend on a step.
    spread = numpy.median(numpy.abs(numpy.diff(signal))) * 1.4826 / math.sqrt(2)
    detector = KernelCPD(kernel="linear", min_size=2).fit(signal.reshape(-1, 1) / spread)
    return list(detector.predict(pen=penalty))[:-1]


PEERS = {"otava": otava, "ruptures": ruptures}


def delay(
    detect: Callable[[list[float]], list[int]], values: list[float], after: int
) -> int | None:
    for end in range(after + 1, len(values) + 1):
        if any(place >= after - 10 for place in detect(values[:end])):
            return end - after
    return None


def least(values: list[float], stride: int) -> float:
    from otava.analysis import compute_change_points

    seen = [
        change.stats.pvalue
        for end in range(stride, len(values) + 1, stride)
        for change in compute_change_points(values[:end], max_pvalue=1e-3)[0]
    ]
    return float(min(seen, default=1.0))


def answer(question: dict[str, Any], values: list[float]) -> Any:
    if question["ask"] == "least":
        return least(values, question["stride"])

    def detect(some: list[float]) -> list[int]:
        return PEERS[question["peer"]](some, question["limit"])

    if question["ask"] == "changes":
        return detect(values)
    if question["ask"] == "delay":
        return delay(detect, values, question["after"])
    stride = question["stride"]
    return any(detect(values[:end]) for end in range(stride, len(values) + 1, stride))


def main() -> None:
    question = json.load(sys.stdin)
    json.dump([answer(question, values) for values in question["series"]], sys.stdout)


if __name__ == "__main__":
    main()
