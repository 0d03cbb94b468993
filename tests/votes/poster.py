# SPDX-License-Identifier: Apache-2.0
"""Posts the reviews of a spool in a process of its own for each line of input, which is a Job."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from bsdgate.harness.reviews.client import Client, Limits
from bsdgate.harness.reviews.credentials import Credentials
from bsdgate.harness.reviews.deliver import Delivery, Retries
from bsdgate.harness.reviews.spool import Spool
from votes.forking import serve

DEADLINE = 3.0
"""The time after which Gerrit executes no post any more, on a busy machine."""

LIMITS = Limits(connect=20.0, total=8.0, deadline=DEADLINE)
RETRIES = Retries(total=120.0, first=0.05, longest=0.3, jitter=0.05)


@dataclass(frozen=True)
class Job:
    """A spool, the server, the account, and the file for the lines of the delivery."""

    spool: str
    url: str
    user: str
    password: str
    log: str

    def dump(self) -> str:
        """Return the job as a line."""
        return json.dumps(asdict(self))


def run(job: Job) -> None:
    """Post all reviews."""
    spool = Spool(Path(job.spool))
    client = Client(job.url, Credentials(job.user, job.password), LIMITS)
    with Path(job.log).open("a", encoding="utf-8", buffering=1) as log:

        def report(line: str) -> None:
            log.write(f"{line}\n")

        with spool.locked(report):
            Delivery(spool, client, report, retries=RETRIES).run()


def main(line: str) -> int:
    """Carry out a job; return the exit status."""
    job = Job(**json.loads(line))
    try:
        run(job)
    except BaseException as error:  # noqa: BLE001 - the trial reports it
        with Path(job.log).open("a", encoding="utf-8") as log:
            log.write(f"{error!r}\n")
        return 1
    return 0


if __name__ == "__main__":
    serve(main)
