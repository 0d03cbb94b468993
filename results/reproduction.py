# SPDX-License-Identifier: Apache-2.0
"""Compares a run with a second run that reproduces it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import zip_longest
from typing import Final

from bsdgate.results.model import Case, Verdict

SHOWN: Final = 5
"""The maximum number of ids in a line."""


def differences(before: Verdict, after: Verdict, *, failed_only: bool = False) -> Sequence[str]:
    """Return a line for each difference; empty if the second run reproduces the first one.

    The lines compare the result, the tests, their outcomes, the tests of each worker and their
    order in it, and the installed versions. The order between workers depends on the time, and is
    not compared. With ``failed_only``, the second run has only tests of ``failed(before)``.
    """
    first, second = _cases(before), _cases(after)
    if failed_only:
        wanted = set(failed(before))
        first = {name: case for name, case in first.items() if name in wanted}
        second = {name: case for name, case in second.items() if name in wanted}
    return [
        *_results(before, after),
        *_ids("not in the second run", first.keys() - second.keys()),
        *_ids("only in the second run", second.keys() - first.keys()),
        *_outcomes(first, second),
        *_workers(_orders(first.values()), _orders(second.values())),
        *_changed(_sources(before), _sources(after)),
        *_changed(before.run.versions, after.run.versions),
    ]


def failed(verdict: Verdict) -> Sequence[str]:
    """Return the ids of the tests for which the run did not pass, sorted."""
    counted = [each for each in verdict.dispositions if each.counts]
    found = {name for each in counted for name in (each.id, *each.tests)}
    return [case.id for case in verdict.cases if case.id in found]


def _cases(verdict: Verdict) -> Mapping[str, Case]:
    return {case.id: case for case in verdict.cases}


def _results(before: Verdict, after: Verdict) -> Iterator[str]:
    if before.result is not after.result:
        yield f"the result was {before.result}, and is {after.result}"


def _ids(what: str, ids: set[str]) -> Iterator[str]:
    if ids:
        shown = ", ".join(sorted(ids)[:SHOWN])
        more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
        yield f"{what}: {shown}{more}"


def _outcomes(first: Mapping[str, Case], second: Mapping[str, Case]) -> Iterator[str]:
    pairs = [
        (case.outcome, second[name].outcome, name) for name, case in first.items() if name in second
    ]
    changed = [pair for pair in pairs if pair[0] is not pair[1]]
    for old, new, name in changed[:SHOWN]:
        yield f"{name} was {old}, and is {new}"
    if len(changed) > SHOWN:
        yield f"{len(changed) - SHOWN} more tests have another outcome"


def _orders(cases: Iterable[Case]) -> Sequence[Sequence[str]]:
    """Return the ids that each worker ran, in the order of their begin.

    Workers without a test are left out: the second run does not start them, so that the names of
    the others change.
    """
    found: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        if case.worker is not None and case.started is not None:
            found[case.worker].append(case)
    names = sorted(found, key=lambda name: (len(name), name))
    return [[each.id for each in sorted(found[name], key=_begin)] for name in names]


def _begin(case: Case) -> datetime:
    assert case.started is not None
    return case.started


def _workers(first: Sequence[Sequence[str]], second: Sequence[Sequence[str]]) -> Iterator[str]:
    for number, (before, after) in enumerate(zip_longest(first, second, fillvalue=())):
        if set(before) != set(after):
            yield f"worker {number} ran other tests ({len(before)}, and now {len(after)})"
        elif before != after:
            pairs = zip(before, after, strict=True)
            moved = next(new for old, new in pairs if old != new)
            yield f"worker {number} ran its tests in another order, from {moved}"


def _sources(verdict: Verdict) -> Mapping[str, str]:
    return {f"the source of {each.project}": each.identity for each in verdict.run.sources}


def _changed(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name, "absent"), after.get(name, "absent")
        if old != new:
            yield f"{name} was {old}, and is {new}"
