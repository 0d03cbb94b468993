# SPDX-License-Identifier: Apache-2.0
"""Measures the speed of a machine by an import benchmark.

Services spend most of their start with imports, and a slow processor slows these down as much as
anything else that the services do. The benchmark imports modules of the standard library in a new
process.
"""

import statistics
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Final

from bsdgate.harness import process

_RUNS: Final = 3
_MODULES: Final = (
    "argparse, asyncio, concurrent.futures, csv, decimal, email.message, fractions, http.server,"
    " json, logging.config, multiprocessing.pool, sqlite3, ssl, statistics, unittest.mock,"
    " urllib.request, xml.dom.minidom, xmlrpc.client, zipfile"
)
_PROGRAM: Final = f"""
import time
begun = time.perf_counter()
import {_MODULES}
print(time.perf_counter() - begun)
"""
# Not multiplied by the factor for slow nodes, which is measured here: a process takes 0.2 s, and
# emulation is 40 times slower.
_TIMEOUT: Final = 300.0


@cache
def seconds() -> float:
    """Return the seconds that the imports take on this machine: the median of three processes."""
    with tempfile.TemporaryDirectory() as folder:
        return statistics.median(_run(Path(folder) / str(number)) for number in range(_RUNS))


def _run(output: Path) -> float:
    # -I and -S: the modules do not depend on the environment. -B: nothing is written.
    command = [sys.executable, "-I", "-S", "-B", "-c", _PROGRAM]
    log = output.with_suffix(".log")
    process.run(command, log=log, timeout=_TIMEOUT, cwd=output.parent, stdout=output)
    return float(output.read_text())
