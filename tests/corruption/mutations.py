# SPDX-License-Identifier: Apache-2.0
"""Ways in which evidence is lost, damaged or swapped; each takes a generator and a run's files.

A mutation returns None where the run has nothing that it could harm. ``SEALED_ONLY`` are those
that keep every counter and checksum consistent, so that only a digest taken while streaming, or
another witness, can tell.
"""

import random
import re
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from corruption.evidence import SEAL, Evidence, Packet, packets, resealed

Mutation = Callable[[random.Random, Evidence, Evidence], Evidence | None]
"""A generator, the run, and another run, in that order."""

TERMINAL: Final = frozenset({"success", "fail", "skip", "xfail", "uxsuccess"})
BAD: Final = frozenset({"fail", "uxsuccess"})


def _stream(
    rng: random.Random, run: Evidence, *suffixes: str
) -> tuple[str, bytes] | tuple[None, bytes]:
    found = [path for path in run.find(*suffixes) if run.files[path]]
    if not found:
        return None, b""
    path = rng.choice(found)
    return path, run.files[path]


def _any_stream(rng: random.Random, run: Evidence) -> tuple[str, bytes] | tuple[None, bytes]:
    return _stream(rng, run, "/stream.subunit", "/stream.xml", "/stream.json")


def _repacked(
    rng: random.Random,
    run: Evidence,
    change: Callable[[list[Packet]], list[Packet] | None],
) -> Evidence | None:
    path, content = _stream(rng, run, "/stream.subunit")
    changed = change(packets(content)) if path else None
    if path is None or changed is None:
        return None
    return run.with_file(path, b"".join(each.data for each in changed))


# Cut ------------------------------------------------------------------------------------------


def cut_at_packet(rng: random.Random, run: Evidence, _: Evidence) -> Evidence | None:
    return _repacked(rng, run, lambda found: found[: rng.randrange(1, len(found))])


def cut_inside_packet(rng: random.Random, run: Evidence, _: Evidence) -> Evidence | None:
    def cut(found: list[Packet]) -> list[Packet]:
        keep = rng.randrange(len(found))
        last = found[keep]
        part = last.data[: rng.randrange(1, len(last.data))]
        return [*found[:keep], Packet(part, None, None, None, frozenset())]

    return _repacked(rng, run, cut)


def cut_seal(rng: random.Random, run: Evidence, _: Evidence) -> Evidence | None:
    return _repacked(rng, run, lambda found: found[:-1] if found[-1].file_name == SEAL else None)


def cut_anywhere(rng: random.Random, run: Evidence, _: Evidence) -> Evidence | None:
    path, content = _any_stream(rng, run)
    whole = len(content.rstrip())
    return run.with_file(path, content[: rng.randrange(1, whole)]) if path else None


def cut_list(rng: random.Random, run: Evidence, _: Evidence) -> Evidence | None:
    path, content = _stream(rng, run, "/asked.txt", "/asked.json")
    return run.with_file(path, content[: rng.randrange(len(content) - 1)]) if path else None


def cut_head(rng: random.Random, run: Evidence, _: Evidence) -> Evidence | None:
    path, content = _stream(rng, run, "/attempt.json", "manifest.json")
    if path is None:
        return None
    # The last bytes are a brace and a newline: without the newline it is whole.
    return run.with_file(path, content[: rng.randrange(len(content.rstrip()) - 1)])


# Lost -----------------------------------------------------------------------------------------


def lose_worker(rng: random.Random, run: Evidence, _: Evidence) -> Evidence | None:
    """A worker is killed: from then on nothing of it is in the stream."""

    def kill(found: list[Packet]) -> list[Packet] | None:
        ends = [at for at, each in enumerate(found) if each.worker and each.status in TERMINAL]
        if not ends:
            return None
        at = rng.choice(ends)
        return found[:at] + [each for each in found[at:] if each.worker != found[at].worker]

    return _repacked(rng, run, kill)


def lose_case(rng: random.Random, run: Evidence, _: Evidence) -> Evidence | None:
    def lose(found: list[Packet]) -> list[Packet] | None:
        ids = sorted({each.test_id for each in found if each.test_id and each.status in TERMINAL})
        lost = rng.choice(ids) if ids else None
        return [each for each in found if each.test_id != lost] if lost else None

    return _repacked(rng, run, lose)


def lose_outcome(rng: random.Random, run: Evidence, _: Evidence) -> Evidence | None:
    """A test has begun, and its end is not there."""

    def lose(found: list[Packet]) -> list[Packet] | None:
        ends = [at for at, each in enumerate(found) if each.status in TERMINAL]
        at = rng.choice(ends) if ends else None
        return None if at is None else found[:at] + found[at + 1 :]

    return _repacked(rng, run, lose)


def lose_xml_case(rng: random.Random, run: Evidence, _: Evidence) -> Evidence | None:
    path, content = _stream(rng, run, "/stream.xml")
    found = list(re.finditer(rb"<testcase\b[^>]*?(/>|>.*?</testcase>)", content, re.DOTALL))
    if path is None or not found:
        return None
    lost = rng.choice(found)
    return run.with_file(path, content[: lost.start()] + content[lost.end() :])


def lose_iterations(rng: random.Random, run: Evidence, _: Evidence) -> Evidence | None:
    path, _content = _stream(rng, run, "/stream.json")
    if path is None:
        return None

    def lose(report: dict[str, object]) -> None:
        workloads = [
            each
            for task in report["tasks"]  # type: ignore[attr-defined]
            for subtask in task["subtasks"]
            for each in subtask["workloads"]
        ]
        data = rng.choice([each for each in workloads if each["data"]])["data"]
        del data[rng.randrange(len(data)) :]

    return run.edited(path, lose)


def lose_workload(rng: random.Random, run: Evidence, _: Evidence) -> Evidence | None:
    path, _content = _stream(rng, run, "/stream.json")
    if path is None:
        return None

    def lose(report: dict[str, object]) -> None:
        tasks: list[dict[str, list[dict[str, list[object]]]]] = report["tasks"]  # type: ignore[assignment]
        subtasks = rng.choice(tasks)["subtasks"]
        workloads = rng.choice(subtasks)["workloads"]
        del workloads[rng.randrange(len(workloads))]

    return run.edited(path, lose)


def lose_file(rng: random.Random, run: Evidence, _: Evidence) -> Evidence | None:
    return run.with_file(rng.choice(list(run.files)), None)


def empty_file(rng: random.Random, run: Evidence, _: Evidence) -> Evidence | None:
    return run.with_file(rng.choice(list(run.files)), b"")


def lose_attempt(rng: random.Random, run: Evidence, _: Evidence) -> Evidence | None:
    path = rng.choice(run.find("/attempt.json"))
    return run.without_folder(path.removesuffix("attempt.json"))


# Doubled, swapped, strewn ---------------------------------------------------------------------


def double_case(rng: random.Random, run: Evidence, _: Evidence) -> Evidence | None:
    def double(found: list[Packet]) -> list[Packet] | None:
        ends = [at for at, each in enumerate(found) if each.test_id and each.status in TERMINAL]
        if not ends:
            return None
        twice = found[rng.choice(ends)]
        again = [each for each in found if each.test_id == twice.test_id]
        return [*found[:-1], *again, found[-1]]

    return _repacked(rng, run, double)


def double_stream(rng: random.Random, run: Evidence, _: Evidence) -> Evidence | None:
    path, content = _any_stream(rng, run)
    return run.with_file(path, content + content) if path else None


def swap_stream(rng: random.Random, run: Evidence, other: Evidence) -> Evidence | None:
    """The stream of another run, as a directory that was not emptied would have it."""
    path, content = _any_stream(rng, run)
    if path is None or other.files.get(path, content) == content:
        return None
    return run.with_file(path, other.files[path])


def swap_attempt(rng: random.Random, run: Evidence, other: Evidence) -> Evidence | None:
    folder = rng.choice(run.find("/attempt.json")).removesuffix("attempt.json")
    theirs = {path: data for path, data in other.files.items() if path.startswith(folder)}
    if not theirs:
        return None
    return Evidence(run.name, run.without_folder(folder).files | theirs)


def swap_patchset(rng: random.Random, run: Evidence, _: Evidence) -> Evidence | None:
    """The evidence is of another patchset, or of another state of the change, than the run."""

    def swap(fields: dict[str, Any]) -> None:
        key = rng.choice(["change", "patchset", "with"])
        fields[key] = [{"project": "nova"}] if key == "with" else str(rng.randrange(1, 99))

    return run.edited(rng.choice(["manifest.json", *run.find("/attempt.json")]), swap)


def lose_digest(rng: random.Random, run: Evidence, _: Evidence) -> Evidence | None:
    """The digest of a file was not recorded."""

    def lose(head: dict[str, Any]) -> None:
        del head["sha256"][rng.choice(list(head["sha256"]))]

    return run.edited(rng.choice(run.find("/attempt.json")), lose)


def strew(rng: random.Random, run: Evidence, _: Evidence) -> Evidence | None:
    """Bytes of something else in the middle, such as a traceback on standard output."""
    path, content = _stream(rng, run, "/stream.subunit", "/stream.xml")
    if path is None:
        return None
    at = rng.randrange(1, len(content) - 1)
    # No letters: one more of them in a message would do no harm.
    rubbish = b"\xff\xfe" + rng.randbytes(rng.randrange(200))
    return run.with_file(path, content[:at] + rubbish + content[at:])


def flip_bits(rng: random.Random, run: Evidence, _: Evidence) -> Evidence | None:
    """A bad disk: one byte is another. In text it may be one that says nothing."""
    path, content = _stream(rng, run, "/stream.subunit")
    if path is None:
        return None
    at = rng.randrange(len(content))
    other = bytes([content[at] ^ (1 << rng.randrange(8))])
    return run.with_file(path, content[:at] + other + content[at + 1 :])


def still_running(rng: random.Random, run: Evidence, _: Evidence) -> Evidence | None:
    """The harness was killed before it wrote how the attempt ended."""
    state = rng.choice(["running", "interrupted"])
    path = rng.choice(run.find("/attempt.json"))
    return run.edited(path, lambda head: head.update(state=state, exit_status=None))


def lie_of_counters(rng: random.Random, run: Evidence, _: Evidence) -> Evidence | None:
    """A case is lost, and the head says that all is well."""
    harmed = lose_xml_case(rng, run, run)
    path, _content = _stream(rng, run, "/stream.xml")
    if harmed is None or path is None:
        return None
    lying = re.sub(rb'(failures|errors)="\d+"', rb'\1="0"', harmed.files[path])
    return harmed.with_file(path, lying)


# What only a digest or another witness can tell -----------------------------------------------


def flip_status(rng: random.Random, run: Evidence, _: Evidence) -> Evidence | None:
    """A failure becomes a success, in a packet with a correct checksum."""

    def flip(found: list[Packet]) -> list[Packet] | None:
        bad = [at for at, each in enumerate(found) if each.status in BAD]
        if not bad:
            return None
        at = rng.choice(bad)
        return [*found[:at], succeeded(found[at]), *found[at + 1 :]]

    return _repacked(rng, run, flip)


def succeeded(packet: Packet) -> Packet:
    """Write the packet's status anew, and its checksum."""
    success = 3
    body = bytearray(packet.data[:-4])
    body[2] = body[2] & ~0x07 | success
    data = bytes(body) + zlib.crc32(body).to_bytes(4, "big")
    return Packet(data, packet.test_id, "success", packet.file_name, packet.tags)


def flip_xml(rng: random.Random, run: Evidence, _: Evidence) -> Evidence | None:
    path, content = _stream(rng, run, "/stream.xml")
    found = list(re.finditer(rb"<(failure|error)\b.*?</\1>", content, re.DOTALL))
    if path is None or not found:
        return None
    flipped = rng.choice(found)
    return run.with_file(path, content[: flipped.start()] + content[flipped.end() :])


def shrink_both(rng: random.Random, run: Evidence, _: Evidence) -> Evidence | None:
    """A test vanishes from the list and from the stream alike, and the seal is made to fit."""
    path, content = _stream(rng, run, "/stream.subunit")
    if path is None:
        return None
    asked = path.replace("stream.subunit", "asked.txt")
    ids = run.files[asked].decode().split()
    found = packets(content)
    there = [each for each in ids if any(packet.test_id == each for packet in found)]
    if len(there) < 2:
        return None
    lost = rng.choice(there)
    kept = b"".join(each.data for each in found[:-1] if each.test_id != lost)
    listed = "".join(f"{each}\n" for each in ids if each != lost)
    return resealed(run, path, kept).with_file(asked, listed.encode())


MUTATIONS: Final[Mapping[str, Mutation]] = {
    each.__name__: each
    for each in (
        cut_at_packet,
        cut_inside_packet,
        cut_seal,
        cut_anywhere,
        cut_list,
        cut_head,
        lose_worker,
        lose_case,
        lose_outcome,
        lose_xml_case,
        lose_iterations,
        lose_workload,
        lose_file,
        empty_file,
        lose_attempt,
        double_case,
        double_stream,
        swap_stream,
        swap_attempt,
        swap_patchset,
        lose_digest,
        strew,
        flip_bits,
        still_running,
        lie_of_counters,
    )
}
SEALED_ONLY: Final[Mapping[str, Mutation]] = {
    each.__name__: each for each in (flip_status, flip_xml, shrink_both)
}
