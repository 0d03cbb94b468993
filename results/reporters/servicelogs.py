# SPDX-License-Identifier: Apache-2.0
"""What the services logged about a failure: lines of its requests, and lines at its time.

Each log is read once, from its beginning to its end, for all failures together; what is kept is
bounded per failure, whatever the logs hold.
"""

import heapq
import os
import re
import stat
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import BinaryIO, Final

from bsdgate.results.model import Case

READ_BOUND: Final = 128 * 1024 * 1024
"""Bytes read of one log. Of a larger one the end is read."""

FILES_BOUND: Final = 32
LINE_BOUND: Final = 500
"""Bytes kept of one line."""

REQUESTS_BOUND: Final = 200
"""Request ids looked for per failure: the last ones that it names."""

ERRORS_KEPT: Final = 24
TALK_KEPT: Final = 12
NEARBY_KEPT: Final = 12
"""Lines kept per failure: errors of its requests, their other lines, and lines at its time."""

MARGIN: Final = timedelta(seconds=1)
"""How much before and after the test a line still counts as being at its time."""

_REQUEST = re.compile(r"\breq-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_REQUEST_BYTES = re.compile(_REQUEST.pattern.encode())
# oslo.log's default: "2026-11-22 18:31:10.297 8909 ERROR nova.compute.manager [...] text". Only
# the lines of a traceback have nothing in brackets.
_HEAD = re.compile(
    rb"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) (\d{1,10}) ([A-Z]{1,10}) (?=(\S+ \[(?!instance: ))?)"
)
GRAVE: Final = frozenset({"ERROR", "CRITICAL", "TRACE"})
"""The log levels of failures."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A failure to find lines for: the requests it names, and when it began and ended."""

    requests: tuple[str, ...] = ()
    began: datetime | None = None
    ended: datetime | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a log. ``own``: it, or the line that it continues, names the request."""

    time: str
    service: str
    level: str
    text: str
    own: bool


@dataclass(frozen=True, slots=True)
class Lines:
    """What was found for one failure, by time; ``left_out`` are further lines that fitted."""

    lines: tuple[Line, ...] = ()
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """What was found for each failure asked for, and why some of the logs were not read."""

    lines: tuple[Lines, ...]
    problems: tuple[str, ...] = ()


def wanted(case: Case) -> Wanted:
    """Return what to search in the logs for ``case``."""
    requests = list(dict.fromkeys(_REQUEST.findall(case.details or "")))
    ended = case.started
    if case.started and case.seconds:
        ended = case.started + timedelta(seconds=case.seconds)
    return Wanted(tuple(requests[-REQUESTS_BOUND:]), case.started, ended)


def search(folder: Path, failures: Sequence[Wanted], zone: tzinfo | None = None) -> Found:
    """Find the lines for each of ``failures`` in the ``*.log`` files of ``folder``.

    oslo.log writes the time of day without a zone: ``zone`` is the services', by default that
    of this machine. Links and devices are not followed; what cannot be read is in ``problems``.
    """
    if not failures or folder.is_symlink() or not folder.is_dir():
        return Found(tuple(Lines() for _ in failures))
    index = _Index(failures, zone)
    problems = []
    logs = sorted(folder.glob("*.log"))
    for path in logs[:FILES_BOUND]:
        try:
            with _open(path) as log:
                skipped = _skip(log)
                _read(log, path.stem, index)
        except OSError as reason:
            problems.append(f"{path.name} was not read: {reason.strerror or reason}")
        else:
            if skipped:
                problems.append(f"of {path.name} only the last {READ_BOUND >> 20} MB were read")
    problems += [f"{path.name} was not read: too many logs" for path in logs[FILES_BOUND:]]
    return Found(tuple(kept.lines() for kept in index.kept), tuple(problems))


_Entry = tuple[bytes, int, Line]


@dataclass(slots=True)
class _Kept:
    """The latest lines of each kind for one failure, as heaps: logs are read one after another."""

    errors: list[_Entry] = field(default_factory=list)
    talk: list[_Entry] = field(default_factory=list)
    nearby: list[_Entry] = field(default_factory=list)
    seen: int = 0

    def add(self, entry: _Entry) -> None:
        line = entry[2]
        if not line.own:
            heap, bound = self.nearby, NEARBY_KEPT
        elif line.level in GRAVE:
            heap, bound = self.errors, ERRORS_KEPT
        else:
            heap, bound = self.talk, TALK_KEPT
        self.seen += 1
        if len(heap) < bound:
            heapq.heappush(heap, entry)
        else:
            heapq.heappushpop(heap, entry)

    def lines(self) -> Lines:
        kept = sorted([*self.errors, *self.talk, *self.nearby], key=lambda entry: entry[:2])
        return Lines(tuple(line for _, _, line in kept), self.seen - len(kept))


class _Index:
    """Which failures a line is about. Times are compared as they are written."""

    def __init__(self, failures: Sequence[Wanted], zone: tzinfo | None) -> None:
        self.kept = [_Kept() for _ in failures]
        self._number = 0
        self._by_request: dict[bytes, list[int]] = {}
        for number, failure in enumerate(failures):
            for request in failure.requests:
                self._by_request.setdefault(request.encode(), []).append(number)
        self._without_requests = frozenset(
            number for number, failure in enumerate(failures) if not failure.requests
        )
        self._lay_out_moments(failures, zone)

    def _lay_out_moments(self, failures: Sequence[Wanted], zone: tzinfo | None) -> None:
        """Split time at the ends of the failures' intervals; list the open ones in each part."""
        moments = [
            (number, _written(one.began - MARGIN, zone), _written(one.ended + MARGIN, zone))
            for number, one in enumerate(failures)
            if one.began and one.ended
        ]
        self._cuts = sorted({cut for _, *cuts in moments for cut in cuts})
        self._open: list[frozenset[int]] = [frozenset()]
        for cut in self._cuts:
            self._open.append(frozenset(one for one, began, end in moments if began <= cut < end))

    def keep(self, failures: Iterable[int], time: bytes, line: Line) -> None:
        """Keep ``line`` for each of ``failures``, until enough later ones of its sort have come."""
        self._number += 1
        for failure in failures:
            self.kept[failure].add((time, self._number, line))

    def naming(self, requests: Iterable[bytes]) -> frozenset[int]:
        """The failures that name one of ``requests``."""
        return frozenset(
            number for request in requests for number in self._by_request.get(request, ())
        )

    def around(self, time: bytes, *, grave: bool) -> frozenset[int]:
        """Return the failures at a time; below ERROR only those without request ids."""
        found = self._open[bisect_right(self._cuts, time)]
        return found if grave else found & self._without_requests


def _written(moment: datetime, zone: tzinfo | None) -> bytes:
    return moment.astimezone(zone).isoformat(" ", "milliseconds")[:23].encode()


def _open(path: Path) -> BinaryIO:
    # Opening a pipe must not wait for its other end.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    file = os.fdopen(descriptor, "rb")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        file.close()
        raise OSError("not a plain file")
    return file


def _skip(log: BinaryIO) -> bool:
    """Go to where the last READ_BOUND bytes begin; return whether that skips any."""
    size = os.fstat(log.fileno()).st_size
    if size <= READ_BOUND:
        return False
    log.seek(size - READ_BOUND)
    return True


def _lines(log: BinaryIO) -> Iterator[bytes]:
    """Read up to READ_BOUND bytes as lines, of long ones only the beginning."""
    room = READ_BOUND
    while room > 0 and (line := log.readline(LINE_BOUND)):
        room -= len(line)
        yield line
        while room > 0 and line[-1:] != b"\n" and (line := log.readline(1 << 16)):
            room -= len(line)


def _read(log: BinaryIO, service: str, index: _Index) -> None:
    """Give each line of ``log`` to the failures that it is about.

    The lines of a traceback name no request: they belong to the line before, of the same process
    and level. So do lines without a time.
    """
    time, process, level = b"", b"", ""
    own: frozenset[int] = frozenset()
    near: frozenset[int] = frozenset()
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
            text = _text(line[head.end() :] if head else line, cut=len(line) >= LINE_BOUND)
            index.keep(own, time, Line(_clock(time), service, level, text, own=True))
            index.keep(near, time, Line(_clock(time), service, level, text, own=False))


def _text(line: bytes, *, cut: bool) -> str:
    return line.decode("utf-8", "replace").rstrip() + (" …" if cut else "")


def _clock(time: bytes) -> str:
    return time.decode().partition(" ")[2]
