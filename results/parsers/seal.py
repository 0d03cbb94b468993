# SPDX-License-Identifier: Apache-2.0
"""The seal: one last packet that the harness appends when the runner's output has ended.

In subunit a stream that was cut between two packets looks like a whole one. The seal shows the cut:
it says how many packets came before it. It also names the run and the attempt, so that another
stream in place of this one is noticed. Other readers of subunit see an attachment without a test.
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
    """The content of a seal; ``packets`` is the number of packets before it."""

    run_id: str
    attempt: str
    packets: int


def write(seal: Seal) -> bytes:
    """The packet that holds ``seal``."""
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
    """Read the attachment of a seal's packet; None if it is invalid."""
    try:
        fields = json.loads(content)
        return Seal(str(fields["run_id"]), str(fields["attempt"]), int(fields["packets"]))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def check(seal: Seal | None, packets: int, owner: tuple[str, str] | None) -> Iterator[Reason]:
    """Check the seal of a stream that has this many packets, the seal included.

    ``owner`` is the run id and the attempt that the seal must name. None stands for a stream from
    elsewhere: its seal may be absent, which is noted, or name any run.
    """
    if seal is None and owner is None:
        message = "the stream has no seal: what was cut off behind its last test cannot be seen"
        yield note(Code.NO_SEAL, message)
    elif seal is None:
        yield error(Code.TRUNCATED, "the stream has no seal: its end is missing")
    elif owner is not None and (seal.run_id, seal.attempt) != owner:
        message = f"the stream is that of {seal.attempt} of run {seal.run_id}"
        yield error(Code.FOREIGN_EVIDENCE, message)
    elif seal.packets != packets - 1:
        message = f"{seal.packets} packets were recorded and {packets - 1} are there"
        yield error(Code.DAMAGED, message)
