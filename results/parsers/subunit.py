# SPDX-License-Identifier: Apache-2.0
"""Subunit v2 streams, live and recorded, through one decoder.

python-subunit decodes packets. Around it stands our own framing, for three reasons: bytes can be
pushed as they arrive; bytes between packets are noticed without losing the packets after them;
and a stream that was cut at a packet's border, which the format cannot tell from a whole one, is
noticed by the *seal*: one last packet that only the harness writes, when the runner's output has
ended. It names the run and the attempt, so that a swapped stream is noticed too, and says how
many packets came before it. Any other reader of subunit sees it as an attachment of no test.
"""

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import Any, BinaryIO

from subunit.v2 import ByteStreamToStreamResult, StreamResultToBytes

from bsdgate.results.model import Case, Code, Outcome, Reason, count, error
from bsdgate.results.parsers.details import Details, tail

CHUNK = 1 << 16
SIGNATURE = 0xB3
SEAL_NAME = "bsdgate.seal"
VERSION = 2
HEAD = 6
SHORTEST_PACKET = 8
ID_BOUND = 4096
PROBLEMS_BOUND = 20
SAMPLE = 600

# A stream that is no subunit at all is not worth the search for packets in it: each byte that
# looks like a packet's begin would cost a checksum over up to 4 MiB.
DAMAGE_BOUND = 1000

# All attachments of tests in flight, in bytes; only a broken stream comes near it.
FLIGHT_BOUND = 32 * 1024 * 1024

# All details that parse() hands out for one stream, in characters.
KEPT_BOUND = 32 * 1024 * 1024

TERMINAL = {
    "success": Outcome.SUCCESS,
    "fail": Outcome.FAIL,
    "skip": Outcome.SKIP,
    "xfail": Outcome.XFAIL,
    "uxsuccess": Outcome.UXSUCCESS,
}


@dataclass(frozen=True, slots=True)
class StatusEvent:
    """One change of one test's status, as the stream tells it.

    ``status`` is subunit's ("exists", "inprogress" or one of ``TERMINAL``). ``started`` is known
    at a terminal status if the stream said "inprogress" before. ``reason`` and ``details`` are
    there when a test did not plainly succeed.
    """

    id: str
    status: str
    worker: str | None = None
    timestamp: datetime | None = None
    started: datetime | None = None
    reason: str | None = None
    details: str | None = None


@dataclass(frozen=True, slots=True)
class Seal:
    """What the last packet of a whole stream says."""

    run_id: str
    attempt: str
    packets: int


@dataclass(slots=True)
class _Flight:
    started: datetime | None
    details: Details


class StreamReader:
    """Decodes a stream that arrives in pieces of any size.

    ``feed`` returns the events of the packets completed by its bytes; ``close`` says that no more
    bytes come. ``problems`` and ``unfinished`` are whole after ``close``. Memory is bounded by
    the tests in flight, never by the stream.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._decoder = ByteStreamToStreamResult(BytesIO())
        self._events: list[StatusEvent] = []
        self._flights: dict[str, _Flight] = {}
        self._held = 0
        self._problems: list[Reason] = []
        self._damage = 0
        self._damage_sample = b""
        self._offset = 0
        self._cut = 0
        self.packets = 0
        self.seal: Seal | None = None

    def feed(self, data: bytes) -> list[StatusEvent]:
        """Take the next bytes and return what they complete, in the stream's order."""
        if self._damage >= DAMAGE_BOUND:
            self._damage += len(data)
            return []
        self._buffer += data
        self._decode(self._take_packets(final=False))
        return self._drain()

    def close(self) -> list[StatusEvent]:
        """Take the end of the stream; a begun packet is searched for whole ones within it."""
        if self._damage < DAMAGE_BOUND:
            self._decode(self._take_packets(final=True))
        return self._drain()

    @property
    def unfinished(self) -> tuple[str, ...]:
        """The ids that are in progress: begun and without an outcome."""
        return tuple(self._flights)

    @property
    def problems(self) -> tuple[Reason, ...]:
        """What is wrong with the stream itself so far."""
        found = list(self._problems)
        if self._damage:
            sample = " ".join(self._damage_sample.decode("utf-8", "replace").split())
            message = f"{self._damage} bytes between packets are not subunit: {sample}"
            found.append(error(Code.DAMAGED, message))
        if self._cut:
            found.append(error(Code.TRUNCATED, f"the stream ends inside a packet ({self._cut} B)"))
        return tuple(found)

    def make_seal(self, run_id: str, attempt: str) -> bytes:
        """The packet to append to the recorded stream once the runner's output has ended."""
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

    def _take_packets(self, *, final: bool) -> bytes:
        """Cut all whole packets off the buffer; what is neither packet nor begin is damage."""
        whole = bytearray()
        position = 0
        buffer = self._buffer
        while position < len(buffer) and self._damage < DAMAGE_BOUND:
            length = _packet_length(buffer, position)
            if length is None and not final:
                break
            if length:
                whole += memoryview(buffer)[position : position + length]
                position += length
                self.packets += 1
                continue
            if length is None and not self._cut:
                self._cut = len(buffer) - position
            elif length == 0:
                self._note_damage(buffer, position)
            position += 1
        if self._damage >= DAMAGE_BOUND:
            self._damage += len(buffer) - position
            position = len(buffer)
        del buffer[:position]
        return bytes(whole)

    def _note_damage(self, buffer: bytearray, position: int) -> None:
        # Behind a cut packet's begin stands the rest of that packet, already reported as cut.
        if self._cut:
            return
        if not self._damage:
            self._damage_sample = bytes(buffer[position : position + SAMPLE])
        self._damage += 1

    def _decode(self, packets: bytes) -> None:
        source = BytesIO(packets)
        self._decoder.source = source
        while source.tell() < len(packets):
            try:
                self._decoder.run(self)
            except (struct.error, ValueError, IndexError, OverflowError) as reason:
                # The packet's checksum was right and its content is not: python-subunit has
                # consumed it whole, so that the next one follows.
                self._note_problem(f"a packet cannot be decoded: {reason}")

    def _note_problem(self, message: str) -> None:
        problem = error(Code.DAMAGED, message)
        if len(self._problems) < PROBLEMS_BOUND and problem not in self._problems:
            self._problems.append(problem)

    def _drain(self) -> list[StatusEvent]:
        events, self._events = self._events, []
        return events

    def status(self, test_id: str | None = None, **packet: Any) -> None:
        """Take one decoded packet (testtools' StreamResult protocol, called by python-subunit)."""
        if self.seal is not None:
            self._note_problem("packets follow the stream's seal")
        if test_id is None:
            if packet["file_name"] == SEAL_NAME:
                self._read_seal(bytes(packet["file_bytes"]))
            # Anything else without an id is what a worker printed: of no test, and harmless.
            return
        if len(test_id) > ID_BOUND:
            self._note_problem(f"a test id of {len(test_id)} characters: {test_id[:80]}...")
            return
        if packet["file_name"] is not None:
            self._attach(test_id, packet)
        if packet["test_status"] is not None:
            self._change(test_id, packet)

    def _read_seal(self, content: bytes) -> None:
        try:
            fields = json.loads(content)
            seal = Seal(str(fields["run_id"]), str(fields["attempt"]), int(fields["packets"]))
        except (ValueError, KeyError, TypeError, RecursionError):
            self._note_problem("the stream's seal cannot be read")
            return
        self.seal = seal

    def _attach(self, test_id: str, packet: dict[str, Any]) -> None:
        flight = self._flights.setdefault(test_id, _Flight(None, Details()))
        data = packet["file_bytes"]
        if self._held + len(data) > FLIGHT_BOUND:
            flight.details.dropped += 1
            return
        before = flight.details.held
        flight.details.add(packet["file_name"], packet["mime_type"], bytes(data))
        self._held += flight.details.held - before

    def _change(self, test_id: str, packet: dict[str, Any]) -> None:
        status, timestamp = packet["test_status"], packet["timestamp"]
        worker = _worker(packet["test_tags"], packet["route_code"])
        if status == "inprogress":
            self._flights.setdefault(test_id, _Flight(None, Details())).started = timestamp
        if status not in TERMINAL:
            self._events.append(StatusEvent(test_id, status, worker, timestamp))
            return
        flight = self._flights.pop(test_id, None)
        started = reason = details = None
        if flight is not None:
            self._held -= flight.details.held
            started = flight.started
            if status != "success":
                reason = flight.details.reason()
            if status == "fail":
                details = flight.details.text()
        self._events.append(
            StatusEvent(test_id, status, worker, timestamp, started, reason, details)
        )


def parse(stream: BinaryIO, owner: tuple[str, str] | None) -> Iterator[Case | Reason]:
    """Read a whole recorded stream: its cases as they end, then what is wrong with it.

    ``owner`` is the run id and the attempt whose seal the stream must bear; None asks for no
    seal (a stream that was not recorded by the harness). Synthetic ids are passed on as they are.
    """
    reader = StreamReader()
    kept = 0
    empty = True
    chunk = b"start"
    while chunk:
        chunk = stream.read(CHUNK)
        empty = empty and not chunk
        for event in reader.feed(chunk) if chunk else reader.close():
            if event.status not in TERMINAL:
                continue
            case = _case(event, keep=kept < KEPT_BOUND)
            kept += len(case.details or "")
            yield case
    if empty:
        yield error(Code.EMPTY_STREAM, "the stream is empty")
        return
    yield from reader.problems
    if reader.unfinished:
        message = f"{count(reader.unfinished, 'test')} begun and never ended"
        yield error(Code.IN_PROGRESS, message, tuple(sorted(reader.unfinished)))
    if owner is not None:
        yield from _check_seal(reader, owner)


def _case(event: StatusEvent, *, keep: bool) -> Case:
    seconds = None
    if event.started is not None and event.timestamp is not None:
        seconds = round((event.timestamp - event.started).total_seconds(), 6)
    details = event.details
    if details is not None:
        details = tail(details) if keep else "[not kept: the details of this stream are too large]"
    return Case(
        id=event.id,
        outcome=TERMINAL[event.status],
        started=event.started or event.timestamp,
        seconds=seconds,
        worker=event.worker,
        reason=event.reason,
        details=details,
    )


def _check_seal(reader: StreamReader, owner: tuple[str, str]) -> Iterator[Reason]:
    seal = reader.seal
    if seal is None:
        yield error(Code.TRUNCATED, "the stream has no seal: its end is missing")
    elif (seal.run_id, seal.attempt) != owner:
        whose = f"{seal.attempt} of run {seal.run_id}"
        yield error(Code.FOREIGN_EVIDENCE, f"the stream is that of {whose}")
    elif seal.packets != reader.packets - 1:
        message = f"{seal.packets} packets were recorded and {reader.packets - 1} are there"
        yield error(Code.DAMAGED, message)


def _worker(tags: set[str] | None, route_code: str | None) -> str | None:
    for tag in sorted(tags or ()):
        if tag.startswith("worker-"):
            return tag
    return f"worker-{route_code}" if route_code else None


def _packet_length(buffer: bytearray, position: int) -> int | None:
    """Length of the whole packet at ``position``; 0 if there is none, None if it may come yet."""
    if buffer[position] != SIGNATURE:
        return 0
    if len(buffer) - position < HEAD:
        return None
    length = _claimed_length(bytes(buffer[position : position + HEAD]))
    if length < SHORTEST_PACKET:
        return 0
    end = position + length
    if len(buffer) < end:
        return None
    with memoryview(buffer) as view:
        crc = zlib.crc32(view[position : end - 4])
    return length if crc == int.from_bytes(buffer[end - 4 : end], "big") else 0


def _claimed_length(head: bytes) -> int:
    """What a packet's head says of the packet's length; 0 if it is no head of version 2."""
    extra = head[3] >> 6  # bytes by which the number is longer than one; three are not allowed
    if head[1] >> 4 != VERSION or extra == 3:
        return 0
    number = int.from_bytes(head[3 : 4 + extra], "big")
    return number & ((1 << (6 + 8 * extra)) - 1)
