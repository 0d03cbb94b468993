# SPDX-License-Identifier: Apache-2.0
"""Subunit v2 streams, live and recorded, through one reader.

A stream that was cut at a packet's border, which the format cannot tell from a whole one, is
noticed by the *seal*: one last packet that only the harness writes, when the runner's output has
ended. It names the run and the attempt, so that a swapped stream is noticed too, and says how
many packets came before it. Any other reader of subunit sees it as an attachment of no test.
Of a stream without a seal nobody can tell whether it is whole, and that is said.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from sys import intern
from typing import BinaryIO, NamedTuple

from bsdgate.results.ids import ID_BOUND
from bsdgate.results.model import Case, Code, Outcome, Reason, count, error, note
from bsdgate.results.parsers.details import Details, Kept
from bsdgate.results.parsers.framing import PacketReader
from bsdgate.results.parsers.packets import Packet

CHUNK = 1 << 16
SEAL_NAME = "bsdgate.seal"
PROBLEMS_BOUND = 20

ENDED_BOUND = 10_000
"""Tests that have just ended and that a reader surely knows again."""

# Tests in progress at once. Runners have some dozens, a stream without ends has all of its tests.
FLIGHTS_BOUND = 2_000

# All attachments of tests in flight, in bytes; only a broken stream comes near it.
FLIGHT_BOUND = 32 * 1024 * 1024

TERMINAL = {
    "success": Outcome.SUCCESS,
    "fail": Outcome.FAIL,
    "skip": Outcome.SKIP,
    "xfail": Outcome.XFAIL,
    "uxsuccess": Outcome.UXSUCCESS,
}


class StatusEvent(NamedTuple):
    """One change of one test's status, as the stream tells it.

    ``status`` is subunit's ("exists", "inprogress" or one of ``TERMINAL``). ``started`` is known
    at a terminal status if the stream said "inprogress" before. ``reason`` and ``details`` are
    there when a test did not plainly succeed, ``offset`` is then the byte of the stream at which
    the first of its attachments begins.
    """

    id: str
    status: str
    worker: str | None = None
    timestamp: datetime | None = None
    started: datetime | None = None
    reason: str | None = None
    details: str | None = None
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class Seal:
    """What the last packet of a whole stream says."""

    run_id: str
    attempt: str
    packets: int


@dataclass(slots=True)
class _Flight:
    """A test in progress, or ``late``: one that has ended and got attachments afterwards."""

    started: datetime | None = None
    details: Details | None = None
    late: bool = False


class _Ended:
    """Knows the last ids again that were added to it: at least ENDED_BOUND, at most twice."""

    def __init__(self) -> None:
        self._now: set[int] = set()
        self._before: set[int] = set()

    def add(self, test_id: str) -> None:
        if len(self._now) >= ENDED_BOUND:
            self._before, self._now = self._now, set()
        self._now.add(hash(test_id))

    def __contains__(self, test_id: str) -> bool:
        return hash(test_id) in self._now or hash(test_id) in self._before


class StreamReader:
    """Decodes a stream that arrives in pieces of any size.

    ``feed`` returns the events of the packets completed by its bytes; ``close`` says that no more
    bytes come. ``problems`` and ``unfinished`` are whole after ``close``. Memory is bounded by
    the tests in flight, never by the stream.
    """

    def __init__(self) -> None:
        self._source = PacketReader()
        self._events: list[StatusEvent] = []
        self._flights: dict[str, _Flight] = {}
        self._ended = _Ended()
        self._late: dict[str, None] = {}
        self._crowded = False
        self._held = 0
        self._problems: list[Reason] = []
        self.seal: Seal | None = None

    def feed(self, data: bytes) -> list[StatusEvent]:
        """Take the next bytes and return what they complete, in the stream's order."""
        return self._take(self._source.feed(data))

    def close(self) -> list[StatusEvent]:
        """Take the end of the stream; a begun packet is searched for whole ones within it."""
        return self._take(self._source.close())

    @property
    def packets(self) -> int:
        """How many packets there were so far."""
        return self._source.count

    @property
    def unfinished(self) -> tuple[str, ...]:
        """The ids that are in progress: begun, or with attachments, and without an outcome."""
        return tuple(test_id for test_id, flight in self._flights.items() if not flight.late)

    @property
    def late(self) -> tuple[str, ...]:
        """The ids of tests that got attachments after their end."""
        late = (test_id for test_id, flight in self._flights.items() if flight.late)
        return tuple(dict.fromkeys([*self._late, *late]))

    @property
    def printed(self) -> str | None:
        """What stands between whole packets, if there is some and all is text."""
        return self._source.printed

    @property
    def problems(self) -> tuple[Reason, ...]:
        """What is wrong with the stream itself so far."""
        return (*self._problems, *self._source.problems)

    def make_seal(self, run_id: str, attempt: str) -> bytes:
        """The packet to append to the recorded stream once the runner's output has ended."""
        # Whoever judges makes no seal, and need not wait for testtools.
        from subunit.v2 import StreamResultToBytes  # noqa: PLC0415

        content = {"run_id": run_id, "attempt": attempt, "packets": self.packets}
        packet = BytesIO()
        StreamResultToBytes(packet).status(
            file_name=SEAL_NAME,
            file_bytes=json.dumps(content).encode(),
            mime_type="application/json",
            eof=True,
            runnable=False,
        )
        return packet.getvalue()

    def _take(self, packets: Iterable[tuple[int, Packet]]) -> list[StatusEvent]:
        for offset, packet in packets:
            test_id = packet.test_id
            if self.seal is not None:
                self._note_problem("packets follow the stream's seal")
            if test_id is None:
                # Anything but the seal is what a worker printed: of no test, and harmless.
                if packet.file_name == SEAL_NAME:
                    self._read_seal(packet.file_bytes)
                if packet.status in TERMINAL:
                    self._note_problem(f"a packet without a test id reports {packet.status!r}")
                continue
            if len(test_id) > ID_BOUND:
                self._note_problem(f"a test id of {len(test_id)} characters: {test_id[:80]}...")
                continue
            if packet.file_name is not None:
                self._attach(test_id, packet, offset)
            if packet.status is not None:
                self._change(test_id, packet)
        events, self._events = self._events, []
        return events

    def _note_problem(self, message: str) -> None:
        problem = error(Code.DAMAGED, message)
        if len(self._problems) < PROBLEMS_BOUND and problem not in self._problems:
            self._problems.append(problem)

    def _read_seal(self, content: bytes) -> None:
        try:
            fields = json.loads(content)
            seal = Seal(str(fields["run_id"]), str(fields["attempt"]), int(fields["packets"]))
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            self._note_problem("the stream's seal cannot be read")
            return
        self.seal = seal

    def _flight(self, test_id: str) -> _Flight | None:
        flight = self._flights.get(test_id)
        if flight is None:
            if len(self._flights) >= FLIGHTS_BOUND and not self._crowded:
                self._drop_late()
            if len(self._flights) >= FLIGHTS_BOUND:
                self._crowded = True
                self._note_problem(f"more than {FLIGHTS_BOUND} tests are in progress at once")
                return None
            flight = self._flights[test_id] = _Flight(late=test_id in self._ended)
        return flight

    def _drop_late(self) -> None:
        late = [test_id for test_id, flight in self._flights.items() if flight.late]
        for test_id in late:
            details = self._flights.pop(test_id).details
            self._held -= details.held if details else 0
            if len(self._late) < FLIGHTS_BOUND:
                self._late[test_id] = None

    def _attach(self, test_id: str, packet: Packet, offset: int) -> None:
        flight = self._flight(test_id)
        if flight is None:
            return
        if flight.details is None:
            flight.details = Details(offset)
        data = packet.file_bytes
        if self._held + len(data) > FLIGHT_BOUND:
            flight.details.dropped += 1
            return
        self._held += flight.details.add(packet.file_name or "", packet.mime_type, data)

    def _change(self, test_id: str, packet: Packet) -> None:
        status, timestamp = packet.status or "", packet.timestamp
        worker = _worker(packet.tags, packet.route_code)
        if status not in TERMINAL:
            if status == "inprogress" and (begun := self._flight(test_id)):
                begun.started, begun.late = timestamp, False
            self._events.append(StatusEvent(test_id, status, worker, timestamp))
            return
        started = reason = text = offset = None
        self._ended.add(test_id)
        if flight := self._flights.pop(test_id, None):
            started = flight.started
            if details := flight.details:
                self._held -= details.held
                if status != "success":
                    reason, offset = details.reason(), details.offset
                if status == "fail":
                    text = details.text()
        self._events.append(
            StatusEvent(test_id, status, worker, timestamp, started, reason, text, offset)
        )


def parse(stream: BinaryIO, owner: tuple[str, str] | None) -> Iterator[Case | Reason]:
    """Read a whole recorded stream: its cases as they end, then what is wrong with it.

    ``owner`` is the run id and the attempt whose seal the stream must bear; None where that may be
    anybody's or absent (a stream that is not known to be the harness's), which is then noted.
    Synthetic ids are passed on as they are.
    """
    reader = StreamReader()
    kept = Kept()
    empty = True
    chunk = b"start"
    while chunk:
        chunk = stream.read(CHUNK)
        empty = empty and not chunk
        for event in reader.feed(chunk) if chunk else reader.close():
            if event.status in TERMINAL:
                yield _case(event, kept)
    if empty:
        yield error(Code.EMPTY_STREAM, "the stream is empty")
        return
    yield from reader.problems
    yield from _strays(reader, owner)
    if reader.unfinished:
        message = f"{count(reader.unfinished, 'test')} begun and never ended"
        yield error(Code.IN_PROGRESS, message, tuple(sorted(reader.unfinished)))
    yield from _check_seal(reader, owner)


def _strays(reader: StreamReader, owner: tuple[str, str] | None) -> Iterator[Reason]:
    """What is in a stream beside the outcomes of tests and takes none of them away.

    Only the runner writes to a stream of the harness: there it is damage.
    """
    say, code = (note, Code.STRAY) if owner is None else (error, Code.DAMAGED)
    if reader.printed is not None:
        yield say(code, reader.printed)
    if reader.late:
        message = f"{count(reader.late, 'test')} with attachments after the end, which are left out"
        yield say(code, message, tuple(sorted(reader.late)))


def _case(event: StatusEvent, kept: Kept) -> Case:
    seconds = None
    if event.started is not None and event.timestamp is not None:
        seconds = round((event.timestamp - event.started).total_seconds(), 6)
        # The clock was set back while the test ran: how long it took is not known.
        seconds = None if seconds < 0 else seconds
    return Case(
        id=event.id,
        outcome=TERMINAL[event.status],
        started=event.started or event.timestamp,
        seconds=seconds,
        worker=event.worker,
        reason=event.reason,
        details=kept.keep(event.details, event.offset),
    )


def _check_seal(reader: StreamReader, owner: tuple[str, str] | None) -> Iterator[Reason]:
    seal = reader.seal
    if seal is None and owner is None:
        message = "the stream has no seal: what was cut off behind its last test cannot be seen"
        yield note(Code.NO_SEAL, message)
    elif seal is None:
        yield error(Code.TRUNCATED, "the stream has no seal: its end is missing")
    elif owner is not None and (seal.run_id, seal.attempt) != owner:
        whose = f"{seal.attempt} of run {seal.run_id}"
        yield error(Code.FOREIGN_EVIDENCE, f"the stream is that of {whose}")
    elif seal.packets != reader.packets - 1:
        message = f"{seal.packets} packets were recorded and {reader.packets - 1} are there"
        yield error(Code.DAMAGED, message)


def _worker(tags: Iterable[str], route_code: str | None) -> str | None:
    # A few names for any number of tests, so all of them share one text.
    for tag in sorted(tags):
        if tag.startswith("worker-"):
            return intern(tag)
    return intern(f"worker-{route_code}") if route_code else None
