# SPDX-License-Identifier: Apache-2.0
"""Runs the playbooks of a job as Zuul's executor does.

    PYTHONPATH=src .tox/zuul/bin/python -m bsdgate.harness.zuul.executor ORDER END

ORDER is the file with the build to run, and END is the file for its end (``order.py``). The output
is the console of the job. SIGTERM ends the build.
"""

import logging
import signal
import sys
from pathlib import Path

from bsdgate.harness.zuul.executor.job import Refused, describe, freeze
from bsdgate.harness.zuul.executor.order import REFUSED, End, Order
from bsdgate.harness.zuul.layout import parse


def main() -> int:
    """Run the build; return the exit status."""
    logging.basicConfig(level=logging.WARNING)
    order = Order.read(Path(sys.argv[1]))
    parsed = parse(Path(order.checkout))
    try:
        if parsed.errors:
            raise Refused(f"{order.checkout} has errors in its Zuul files: run `bsdgate zuul lint`")
        frozen = freeze(parsed, order)
    except Refused as refused:
        End("REFUSED", str(refused)).write(Path(sys.argv[2]))
        return REFUSED
    if order.dry_run:
        sys.stdout.write(describe(frozen.job))
        return 0
    # The layout has replaced drivers that the executor would import.
    from bsdgate.harness.zuul.executor import local  # noqa: PLC0415

    executor = local.Executor(order, parsed, frozen.job)
    build = local.Build(executor, frozen, order)
    signal.signal(signal.SIGTERM, lambda *_: build.stop())
    build.run()
    build.wait()
    executor.end.write(Path(sys.argv[2]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
