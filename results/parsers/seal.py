# SPDX-License-Identifier: Apache-2.0
"""The seal: the last packet of a stream. The harness appends it when the runner's output has ended.

A subunit stream that was cut between two packets looks complete. The seal shows the cut, because it
has the number of packets before it. It also has the run id and the attempt, so that a replaced
stream is detected. Other readers of subunit see an attachment without a test.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from io import BytesIO

from subunit.v2 import StreamResultToBytes

from bsdgate.results.model import Code, Reason, error, note

SEAL_NAME = "bsdgate.seal"


@dataclass(frozen=True, slots=True)
class Seal:
    """The content of a seal; ``packets`` is the number of packets before the seal."""

    run_id: str
    attempt: str
    packets: int


def write(seal: Seal) -> bytes:
    """Return the packet that contains ``seal``."""
    packet = BytesIO()
    StreamResultToBytes(packet).status(
        file_name=SEAL_NAME,
        file_bytes=json.dumps(asdict(seal)).encode(),
        mime_type="application/json",
        eof=True,
        runnable=False,
    )
    return packet.getvalue()


def read(content: bytes) -> Seal | None:
    """Read the attachment of a seal's packet; return None if it is invalid."""
    try:
        fields = json.loads(content)
        return Seal(str(fields["run_id"]), str(fields["attempt"]), int(fields["packets"]))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def check(seal: Seal | None, packets: int, owner: tuple[str, str] | None) -> Iterator[Reason]:
    """Yield the problems of the seal of a stream of ``packets`` packets, counted with the seal.

    ``owner`` is the run id and the attempt that the seal must have. It is None for a stream that
    bsdgate may not have recorded: a missing seal is then only a note, and any run is allowed.
    """
    if seal is None and owner is None:
        message = "the stream has no seal (last packet), so a cut after its last test is not seen"
        yield note(Code.NO_SEAL, message)
    elif seal is None:
        yield error(Code.TRUNCATED, "the stream has no seal (last packet): its end is missing")
    elif owner is not None and (seal.run_id, seal.attempt) != owner:
        message = f"the stream is of attempt {seal.attempt} of run {seal.run_id}, not of this one"
        yield error(Code.FOREIGN_EVIDENCE, message)
    elif seal.packets != packets - 1:
        message = f"the seal counts {seal.packets} packets, but the stream has {packets - 1}"
        yield error(Code.DAMAGED, message)
