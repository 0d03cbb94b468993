# SPDX-License-Identifier: Apache-2.0
"""Reads subunit v2 streams: live ones, as the runner writes them, and recorded ones."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from sys import intern
from typing import BinaryIO, NamedTuple

from bsdgate.results.ids import ID_BOUND
from bsdgate.results.model import Case, Code, Outcome, Reason, count, error, note
from bsdgate.results.parsers import seal
from bsdgate.results.parsers.details import OPEN_BOUND, Kept, Progress
from bsdgate.results.parsers.packets import Packet, PacketReader

CHUNK = 1 << 16
PROBLEMS_BOUND = 20

TERMINAL = frozenset({"success", "fail", "skip", "xfail", "uxsuccess"})
"""The statuses that end a test; each is an outcome."""


class StatusEvent(NamedTuple):
    """One change of the status of one test.

    ``status`` is "exists", "inprogress" or one of ``TERMINAL``. ``started`` is known at a terminal
    status if the test was "inprogress" before. ``reason`` may be set if the test did not succeed,
    ``details`` if it failed. ``offset`` is the byte of the stream at which the first attachment of
    the test begins.
    """

    id: str
    status: str
    worker: str | None = None
    timestamp: datetime | None = None
    started: datetime | None = None
    reason: str | None = None
    details: str | None = None
    offset: int | None = None


class StreamReader:
    """Decodes a stream that arrives in pieces of any size.

    ``feed`` returns the events of the packets that its bytes complete; call ``close`` at the end.
    ``problems``, and the tests in ``progress``, are complete after ``close``. Memory is bounded by
    the tests in progress, not by the stream. ``seal`` is bsdgate's last packet of a stream.
    """

    def __init__(self) -> None:
        self.source = PacketReader()
        self.progress = Progress()
        self._problems: list[Reason] = []
        self.seal: seal.Seal | None = None

    def feed(self, data: bytes) -> list[StatusEvent]:
        """Take the next bytes and return the events in them, in the order of the stream."""
        return self._events(self.source.feed(data))

    def close(self) -> list[StatusEvent]:
        """Return the last events, also from whole packets within a truncated packet."""
        return self._events(self.source.close())

    @property
    def problems(self) -> tuple[Reason, ...]:
        """The problems of the stream itself so far."""
        return (*self._problems, *self.source.problems)

    def make_seal(self, run_id: str, attempt: str) -> bytes:
        """Return the seal to append to the recorded stream once the runner's output has ended."""
        return seal.write(seal.Seal(run_id, attempt, self.source.count))

    def _events(self, packets: Iterable[tuple[int, Packet]]) -> list[StatusEvent]:
        events: list[StatusEvent] = []
        for offset, packet in packets:
            if self.seal is not None:
                self._note_problem("packets follow the stream's seal, which must be the last one")
            test_id = packet.test_id
            if test_id is None:
                self._read_without_test(packet)
            elif len(test_id) > ID_BOUND:
                shown = f"the test id {test_id[:80]}... has {len(test_id)} characters"
                self._note_problem(f"{shown}, more than {ID_BOUND}")
            elif event := self._read_of_test(test_id, packet, offset):
                events.append(event)
        return events

    def _note_problem(self, message: str) -> None:
        problem = error(Code.DAMAGED, message)
        if len(self._problems) < PROBLEMS_BOUND and problem not in self._problems:
            self._problems.append(problem)

    def _read_without_test(self, packet: Packet) -> None:
        """Read a packet without a test id: keep the seal, ignore output of a worker."""
        if packet.file_name == seal.SEAL_NAME:
            self.seal = seal.read(packet.file_bytes or b"") or self.seal
            if self.seal is None:
                self._note_problem("the stream's seal cannot be read")
        if packet.test_status in TERMINAL:
            self._note_problem(f"a packet has the status {packet.test_status!r}, but no test id")

    def _read_of_test(self, test_id: str, packet: Packet, offset: int) -> StatusEvent | None:
        name, data, status = packet.file_name, packet.file_bytes or b"", packet.test_status
        if name is not None:
            self.progress.attach(test_id, offset, name, packet.mime_type, data)
        if status == "inprogress":
            self.progress.begin(test_id, packet.timestamp)
        if self.progress.crowded:
            self._note_problem(f"more than {OPEN_BOUND} tests are in progress at once")
        if status is None:
            return None
        if status not in TERMINAL:
            return StatusEvent(test_id, status, _worker(packet), packet.timestamp)
        test = self.progress.end(test_id)
        return StatusEvent(
            test_id,
            status,
            _worker(packet),
            packet.timestamp,
            test.started,
            reason=None if status == "success" else test.reason(),
            details=test.text() if status == "fail" else None,
            offset=test.offset,
        )


def parse(stream: BinaryIO, owner: tuple[str, str] | None) -> Iterator[Case | Reason]:
    """Yield the cases of a stream in the order of their ends, then the problems of the stream.

    ``owner`` is the run id and the attempt that the stream's seal must have; None for a stream that
    the harness may not have recorded: a missing seal is then only a note. Cases may have synthetic
    ids, such as ``setUpClass (...)``.
    """
    reader = StreamReader()
    kept = Kept()
    chunk = stream.read(CHUNK)
    if not chunk:
        yield error(Code.EMPTY_STREAM, "the stream is empty")
        return
    while chunk:
        yield from _cases(reader.feed(chunk), kept)
        chunk = stream.read(CHUNK)
    yield from _cases(reader.close(), kept)
    yield from reader.problems
    yield from _strays(reader, owner)
    if begun := reader.progress.unfinished:
        message = f"{count(begun, 'test')} began and never ended"
        yield error(Code.IN_PROGRESS, message, tuple(sorted(begun)))
    yield from seal.check(reader.seal, reader.source.count, owner)


def _strays(reader: StreamReader, owner: tuple[str, str] | None) -> Iterator[Reason]:
    """Yield problems for text between packets and late attachments, which hide no outcome.

    In a stream that bsdgate recorded they are damage, because only the runner writes to it.
    """
    make, code = (note, Code.STRAY) if owner is None else (error, Code.DAMAGED)
    if reader.source.printed is not None:
        yield make(code, reader.source.printed)
    if late := reader.progress.late:
        message = f"attachments after the end of {count(late, 'test')} are left out"
        yield make(code, message, tuple(sorted(late)))


def _cases(events: Iterable[StatusEvent], kept: Kept) -> Iterator[Case]:
    for event in events:
        if event.status not in TERMINAL:
            continue
        seconds = None
        if event.started is not None and event.timestamp is not None:
            seconds = round((event.timestamp - event.started).total_seconds(), 6)
        yield Case(
            id=event.id,
            outcome=Outcome(event.status),
            started=event.started or event.timestamp,
            # If the clock was set back while the test ran, its duration is not known.
            seconds=None if seconds is None or seconds < 0 else seconds,
            worker=event.worker,
            reason=event.reason,
            details=kept.keep(event.details, event.offset),
        )


def _worker(packet: Packet) -> str | None:
    # A stream has few workers, so all cases of a worker share one text.
    for tag in sorted(packet.test_tags or ()):
        if tag.startswith("worker-"):
            return intern(tag)
    return intern(f"worker-{packet.route_code}") if packet.route_code else None
