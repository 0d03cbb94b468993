# SPDX-License-Identifier: Apache-2.0
"""Runs ``bsdgate listen`` in a process of its own for each line of input: settings and a log."""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from votes.forking import serve

# The started processes have these modules from their beginning.
from bsdgate.harness.__main__ import main as bsdgate
from bsdgate.harness.cli import bsdgate as _commands
from bsdgate.harness.commands import listen as _listen

__all__ = ["Job", "_commands", "_listen"]


@dataclass(frozen=True)
class Job:
    """The file of settings, and the file that the output is appended to."""

    settings: str
    log: str

    def dump(self) -> str:
        """Return the job as a line."""
        return json.dumps(asdict(self))


def main(line: str) -> int:
    """Listen until a signal comes; return the exit status."""
    job = Job(**json.loads(line))
    with Path(job.log).open("a", encoding="utf-8", buffering=1) as log:
        sys.stdout = sys.stderr = log
        sys.argv = ["bsdgate", "listen", "--config", job.settings]
        return bsdgate()


if __name__ == "__main__":
    serve(main)
