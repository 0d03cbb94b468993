# SPDX-License-Identifier: Apache-2.0
"""What others say of the same evidence: whether each would let it pass.

``stestr last`` of the stream, junitparser's counters of the report, Rally's SLAs of the task. A
peer that cannot read a file, or does not find it, has not passed it.
"""

import json
import os
import warnings
from collections.abc import Callable
from io import BytesIO, StringIO
from pathlib import Path
from typing import Final

import junitparser
from stestr.commands import last, load


def _stestr(folder: Path) -> bool:
    """What its user sees: the stream loaded into a repository, and the status of the last run."""
    streams = list(folder.glob("evidence/*/stream.subunit"))
    if not streams:
        return False
    repository = folder / "stestr"
    repository.mkdir()
    before = Path.cwd()
    os.chdir(repository)
    try:
        for stream in streams:
            source = BytesIO(stream.read_bytes())
            load.load(in_streams=[("subunit", source)], force_init=True, stdout=StringIO())
        return bool(last.last(pretty_out=False, stdout=BytesIO()) == 0)
    finally:
        os.chdir(before)


def _junitparser(folder: Path) -> bool:
    reports = list(folder.glob("evidence/*/stream.xml"))
    if not reports:
        return False
    found = [junitparser.JUnitXml.fromstring(each.read_bytes()) for each in reports]
    suites = [suite for each in found for suite in (each if hasattr(each, "tests") else [each])]
    return sum(int(suite.failures or 0) + int(suite.errors or 0) for suite in suites) == 0


def _rally(folder: Path) -> bool:
    reports = list(folder.glob("evidence/*/stream.json"))
    if not reports:
        return False
    tasks = [task for each in reports for task in json.loads(each.read_bytes())["tasks"]]
    return all(task["pass_sla"] for task in tasks)


PEERS: Final[dict[str, Callable[[Path], bool]]] = {
    "stestr last": _stestr,
    "junitparser": _junitparser,
    "Rally's SLA": _rally,
}


def passing(folder: Path) -> list[str]:
    """Return the peers that pass what is in this run directory."""
    return [name for name, passes in PEERS.items() if _quietly(passes, folder)]


def _quietly(passes: Callable[[Path], bool], folder: Path) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return passes(folder)
    except Exception:  # noqa: BLE001 - whatever a peer raises, it has not passed
        return False
