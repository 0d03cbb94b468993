# SPDX-License-Identifier: Apache-2.0
"""Check without code of bsdgate whether the evidence of a run proves a pass."""

import io
import json
import warnings
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import subunit


def asked(run: Path) -> set[str]:
    """Return the ids of all tests that the run requested."""
    lists = run.glob("evidence/*/asked.txt")
    return {test for each in lists for test in each.read_text().splitlines()}


def lacking(run: Path, wanted: set[str]) -> list[str]:
    """Return what is missing for a pass of the wanted tests: an outcome, a success, an end."""
    succeeded, failed = set[str](), set[str]()
    problems = []
    for path in sorted(run.glob("evidence/*/attempt.json")):
        attempt = json.loads(path.read_text())
        if attempt["state"] == "running" or attempt["exit_status"] not in {0, None}:
            problems.append(f"{path.parent.name}: {attempt['state']}, {attempt['exit_status']}")
        outcomes = _READERS[attempt["format"]]((path.parent / attempt["stream"]).read_bytes())
        succeeded |= {test for test, outcome in outcomes if outcome == "success"}
        failed |= {test for test, outcome in outcomes if outcome != "success"}
    problems += [f"no success of {test}" for test in sorted(wanted - succeeded)]
    return problems + [f"failure of {test}" for test in sorted(failed)]


def _junit(content: bytes) -> list[tuple[str, str]]:
    cases = ElementTree.fromstring(content).iter("testcase") if content else ()
    return [
        (
            f"{case.attrib['classname'].replace('.', '/')}.py::{case.attrib['name']}",
            "failure"
            if {"failure", "error", "skipped"} & {child.tag for child in case}
            else "success",
        )
        for case in cases
    ]


class _Outcomes:
    """A receiver for python-subunit that keeps the outcome of each test."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []

    def startTestRun(self) -> None:  # noqa: N802 - the receiver's protocol
        """Begin."""

    def stopTestRun(self) -> None:  # noqa: N802 - the receiver's protocol
        """End."""

    def status(self, **event: Any) -> None:
        if event.get("test_id") and event.get("test_status") in {"success", "fail", "uxsuccess"}:
            self.found.append((event["test_id"], event["test_status"]))


def _subunit(content: bytes) -> list[tuple[str, str]]:
    outcomes = _Outcomes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        subunit.ByteStreamToStreamResult(io.BytesIO(content), "stdout").run(outcomes)
    return outcomes.found


_READERS = {"junit": _junit, "subunit": _subunit}
