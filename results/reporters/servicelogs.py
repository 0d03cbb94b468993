# SPDX-License-Identifier: Apache-2.0
"""The services' log lines for a failure: lines with its request ids, and lines at its time.

Each log is read once for all failures. The number of lines that are kept for a failure is limited.
"""

import os
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from heapq import heappop, heappush
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Final

from bsdgate.results.attempts import UnreadableError, open_plain
from bsdgate.results.inspections import NodeClock
from bsdgate.results.model import Case

READ_BOUND: Final = 128 * 1024 * 1024
"""The maximum number of bytes that are read of a log, from its end."""

FILES_BOUND: Final = 32
LINE_BOUND: Final = 500
"""The maximum number of logs, and of bytes kept of a line."""

REQUESTS_BOUND: Final = 200
"""The maximum number of a failure's request ids, its last ones, that are searched for."""

KEPT: Final = {"errors": 24, "talk": 12, "nearby": 12}
"""The maximum number of lines kept per failure: errors of its requests, other lines of its
requests, other lines at its time."""

MARGIN: Final = timedelta(seconds=1)
"""The time before a test's start, and after its end, that counts as the time of the test."""

_REQUEST = re.compile(r"\breq-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_REQUEST_BYTES = re.compile(_REQUEST.pattern.encode())
# oslo.log's default: "2026-11-22 18:31:10.297 8909 ERROR nova.compute.manager [...] text". Only
# the lines of a traceback have no part in brackets.
_HEAD = re.compile(
    rb"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) (\d{1,10}) ([A-Z]{1,10}) (?=(\S+ \[(?!instance: ))?)"
)
GRAVE: Final = frozenset({"ERROR", "CRITICAL", "TRACE"})
"""The log levels of errors."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a log. ``own``: it has a request id of the failure, or continues such a line."""

    time: str
    service: str
    level: str
    text: str
    own: bool


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines for one failure, by time; ``left_out`` is the number of lines that were dropped."""

    lines: tuple[Line, ...] = ()
    left_out: int = 0


def requests_of(case: Case) -> list[str]:
    """Return the last REQUESTS_BOUND request ids in the details of a failure."""
    return list(dict.fromkeys(_REQUEST.findall(case.details or "")))[-REQUESTS_BOUND:]


def search(
    folder: Path,
    failures: Sequence[Case],
    zone: tzinfo | None = None,
    clock: NodeClock | None = None,
) -> tuple[list[Lines], list[str]]:
    """Return the lines for each failure in the ``*.log`` files of ``folder``, and the problems.

    oslo.log writes times without a time zone: ``zone`` is the time zone of the services, by default
    of this machine, and ``clock`` their clock, by default that of the tests. Links and devices are
    not read. A problem is the reason why a log was not read.
    """
    kept = [_Kept() for _ in failures]
    problems: list[str] = []
    real = failures and folder.is_dir() and not folder.is_symlink()
    logs = sorted(folder.glob("*.log")) if real else []
    index = _Index(failures, zone, clock or NodeClock())
    found = (_find(path, index, problems) for path in logs[:FILES_BOUND])
    for number, (time, line, about) in enumerate(chain.from_iterable(found)):
        for failure in about:
            kept[failure].add((time, number, line))
    problems += [f"{path.name} was not read: too many logs" for path in logs[FILES_BOUND:]]
    return [one.lines() for one in kept], problems


class _Kept:
    """The latest lines of each kind (a key of KEPT) for one failure, in heaps ordered by time."""

    def __init__(self) -> None:
        self._seen = 0
        self._heaps: dict[str, list[tuple[bytes, int, Line]]] = defaultdict(list)

    def add(self, entry: tuple[bytes, int, Line]) -> None:
        line = entry[2]
        own = "errors" if line.level in GRAVE else "talk"
        kind = own if line.own else "nearby"
        self._seen += 1
        heappush(self._heaps[kind], entry)
        if len(self._heaps[kind]) > KEPT[kind]:
            heappop(self._heaps[kind])

    def lines(self) -> Lines:
        kept = sorted(entry for heap in self._heaps.values() for entry in heap)
        return Lines(tuple(line for _, _, line in kept), self._seen - len(kept))


class _Index:
    """Finds the failures, by number, to which a line belongs. Times are compared as texts."""

    def __init__(self, failures: Sequence[Case], zone: tzinfo | None, clock: NodeClock) -> None:
        self._by_request: dict[bytes, set[int]] = defaultdict(set)
        self._moments = []
        self._silent = []
        for number, case in enumerate(failures):
            requests = requests_of(case)
            for request in requests:
                self._by_request[request.encode()].add(number)
            if case.started:
                ended = case.started + timedelta(seconds=case.seconds or 0)
                margin = MARGIN + clock.error
                began = _written(clock.of_node(case.started) - margin, zone)
                end = _written(clock.of_node(ended) + margin, zone)
                self._moments.append((number, began, end))
                if not requests:
                    self._silent.append((number, began, end))

    def naming(self, requests: Iterable[bytes]) -> set[int]:
        """Return the failures with one of the request ids in ``requests``."""
        return {number for one in requests for number in self._by_request.get(one, ())}

    def around(self, time: bytes, *, grave: bool) -> set[int]:
        """Return the failures at a time; if not ``grave``, only failures without a request id."""
        moments = self._moments if grave else self._silent
        return {number for number, began, ended in moments if began <= time < ended}


def _written(moment: datetime, zone: tzinfo | None) -> bytes:
    return moment.astimezone(zone).isoformat(" ", "milliseconds")[:23].encode()


def _find(path: Path, index: _Index, problems: list[str]) -> Iterator[tuple[bytes, Line, set[int]]]:
    """Yield lines of a log, each with its time and the failures to which it belongs."""
    try:
        with open_plain(path, sys.maxsize) as log:
            if (size := os.fstat(log.fileno()).st_size) > READ_BOUND:
                log.seek(size - READ_BOUND)
                problems.append(f"{path.name}: only the last {READ_BOUND >> 20} MB were read")
            yield from _read(log, path.stem, index)
    except UnreadableError as reason:
        problems.append(f"{reason}; the log was not read")
    except OSError as reason:
        problems.append(f"{path.name} was not read to its end: {reason.strerror or reason}")


def _lines(log: BinaryIO) -> Iterator[bytes]:
    """Yield the lines in up to READ_BOUND bytes; long lines are cut at LINE_BOUND bytes."""
    room = READ_BOUND
    while room > 0 and (line := log.readline(LINE_BOUND)):
        room -= len(line)
        yield line
        while room > 0 and line[-1:] != b"\n" and (line := log.readline(1 << 16)):
            room -= len(line)


def _read(log: BinaryIO, service: str, index: _Index) -> Iterator[tuple[bytes, Line, set[int]]]:
    """Yield each line that belongs to a failure.

    The lines of a traceback have no request id: they belong to the previous line of the same
    process and level. Lines without a time also belong to the previous line.
    """
    time, process, level = b"", b"", ""
    own: set[int] = set()
    near: set[int] = set()
    for line in _lines(log):
        head = _HEAD.match(line)
        requests = _REQUEST_BYTES.findall(line) if b"req-" in line else ()
        if head or requests:
            before = process, level
            if head:
                time, process, level = head[1], head[2], head[3].decode()
            grave = level in GRAVE
            if not (head and grave and not head[4] and before == (process, level)):
                own = index.naming(requests)
            near = index.around(time, grave=grave) - own
        if own or near:
            text = line[head.end() :] if head else line
            shown = text.decode("utf-8", "replace").rstrip()
            shown += " …" if len(line) >= LINE_BOUND else ""
            clock = time.decode().partition(" ")[2]
            yield time, Line(clock, service, level, shown, own=True), own
            yield time, Line(clock, service, level, shown, own=False), near
