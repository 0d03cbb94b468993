# SPDX-License-Identifier: Apache-2.0
"""The scorecard as text for a terminal, and as one HTML page that needs no network."""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final

import jinja2

from bsdgate.results.scorecard import Column, Status

_REASONS: Final = 12
_HEADS: Final = (*Status, "tests")


def text(columns: Sequence[Column]) -> str:
    """Return one table for each profile, each with its most common reasons below it."""
    lines = (line for column in columns for line in _lines(column))
    # Texts from tests may contain control characters, which a terminal would interpret.
    return "\n".join("".join(c if c.isprintable() else "\ufffd" for c in line) for line in lines)


def page(columns: Sequence[Column]) -> str:
    """Return a self-contained HTML page; every reason can be opened to show its test ids."""
    return _template().render(columns=columns, statuses=list(Status))


def _lines(column: Column) -> Iterator[str]:
    width = max([len("profile ") + len(column.profile), *map(len, column.counts)])
    heads = "".join(f"  {head:>{len(head)}}" for head in _HEADS)
    yield f"{f'profile {column.profile}':{width}}{heads}"
    for area, counts in column.counts.items():
        yield f"{area:{width}}{_numbers(counts)}"
    yield f"{'all':{width}}{_numbers(column.total)}"
    yield ""
    numbers: Counter[Status] = Counter()
    for status, why, ids in column.reasons():
        numbers[status] += 1
        if numbers[status] <= _REASONS:
            yield f"  {status:14} {len(ids):5}  {why}"
    for status, number in numbers.items():
        if number > _REASONS:
            yield f"  {status:14}        and {number - _REASONS} more reasons"
    yield ""


def _numbers(counts: Counter[Status]) -> str:
    numbers = [*(counts[status] for status in Status), counts.total()]
    cells = zip(_HEADS, numbers, strict=True)
    return "".join(f"  {number or '.':>{len(head)}}" for head, number in cells)


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True,
        loader=jinja2.PackageLoader("bsdgate.results.scorecard"),
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("scorecard.html.j2")
