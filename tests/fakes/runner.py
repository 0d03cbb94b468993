# SPDX-License-Identifier: Apache-2.0
"""A runner without a process."""

import json
from collections.abc import Mapping, Sequence
from io import BytesIO

from subunit.v2 import StreamResultToBytes

from bsdgate.harness.manifest import RunnerKind
from bsdgate.harness.run_dir import Attempt, Format
from bsdgate.harness.runners.base import Ended, Events, Look
from bsdgate.results.parsers.subunit import StreamReader


class FakeRunner:
    """Writes a sealed subunit stream with the given outcomes, by test id.

    ``ran`` has the name and the ids of each attempt.
    """

    kind: RunnerKind = "tempest"
    form: Format = "subunit"
    test_timeout: float | None = 300.0

    def __init__(self, outcomes: Mapping[str, str]) -> None:
        self.outcomes = dict(outcomes)
        self.prepared = 0
        self.ran: list[tuple[str, tuple[str, ...]]] = []

    def prepare(self) -> None:
        """Count the calls."""
        self.prepared += 1

    def list_ids(self) -> Sequence[str]:
        """Return the ids with an outcome."""
        return list(self.outcomes)

    def asked(self, ids: Sequence[str]) -> bytes:
        """Return asked.txt."""
        return "".join(f"{each}\n" for each in ids).encode()

    def run(self, ids: Sequence[str], attempt: Attempt, events: Events, look: Look) -> Ended:
        """Report each known test with its outcome, until ``look`` returns a problem."""
        self.ran.append((attempt.name, tuple(ids)))
        reader, reported = StreamReader(), []
        for each in [one for one in ids if one in self.outcomes]:
            if problems := look():
                return Ended(-15, problems)
            packets = BytesIO()
            writer = StreamResultToBytes(packets)
            for status in ("inprogress", self.outcomes[each]):
                writer.status(test_id=each, test_status=status)
            attempt.stream.write(packets.getvalue())
            for event in reader.feed(packets.getvalue()):
                events.test(event)
            reported.append((each, self.outcomes[each]))
        attempt.stream.write(reader.make_seal(attempt.run_id, attempt.name))
        others = [one for one in reported if one[1] != "success"]
        record = json.dumps({"reports": len(reported), "others": others}).encode()
        # Like Tempest with --subunit: the exit status does not depend on the outcomes.
        return Ended(0, record=record)
