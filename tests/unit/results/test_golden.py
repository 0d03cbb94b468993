# SPDX-License-Identifier: Apache-2.0
"""The results of the parsers and the judge for streams recorded from real runners.

``BSDGATE_GOLDEN=rewrite`` writes the expected results again; CI refuses that.
"""

import dataclasses
import json
import os
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from unit.results.conftest import RunDir

from bsdgate.results import document
from bsdgate.results.model import Case, Code, Dated, Outcome, Reason, Result, Timing, Verdict
from bsdgate.results.parsers import junit, rally, subunit, verification

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
CASES = sorted(str(path.parent.relative_to(GOLDEN)) for path in GOLDEN.glob("*/*/recorded.json"))
SUBUNIT = [case for case in CASES if case.startswith("subunit/")]
JUDGED = [case for case in CASES if not case.startswith("verification/")]
REWRITE = os.environ.get("BSDGATE_GOLDEN") == "rewrite"
SEED = 20261122
# Recordings with asked tests that did not end; the exit status of most of them is 0.
LOST = re.compile("/.*(exit-|kill-|cut-|lost|returncode)|/import-error")


def as_json(verdict: Verdict) -> dict[str, Any]:
    whole = json.loads(document.render(verdict))
    return {key: whole[key] for key in ("result", "reasons", "counts", "setup_failures", "cases")}


def parse(case: str) -> Iterator[Case | Reason | Timing | Dated]:
    """Read a recording with only its parser."""
    folder = GOLDEN / case
    facts = json.loads((folder / "recorded.json").read_text())
    asked = (folder / facts["asked"]).read_bytes()
    with (folder / facts["stream"]).open("rb") as stream:
        match case.split("/", maxsplit=1)[0]:
            case "subunit":
                yield from subunit.parse(stream, None)
            case "junit":
                yield from junit.parse(stream, asked.decode().splitlines())
            case "rally":
                yield from rally.parse(stream, rally.read_asked(asked))
            case "verification":
                yield from verification.parse(stream)


def compare(found: Any, file: Path) -> None:
    if REWRITE:
        assert not os.environ.get("CI"), "golden files are rewritten by people, not by CI"
        file.write_text(json.dumps(found, indent=1) + "\n")
    assert found == json.loads(file.read_text())


@pytest.mark.parametrize("case", CASES)
def test_a_recorded_stream_is_parsed_as_expected(case: str) -> None:
    found = [dataclasses.asdict(item) for item in parse(case)]
    parsed = [{key: value for key, value in item.items() if value is not None} for item in found]
    compare(json.loads(json.dumps(parsed, default=str)), GOLDEN / case / "parsed.json")


@pytest.mark.parametrize("case", JUDGED)
def test_a_recorded_run_is_judged_as_expected(run_dir: RunDir, case: str) -> None:
    run_dir.recorded(*case.split("/"))
    compare(as_json(run_dir.judge()), GOLDEN / case / "expected.json")


def test_there_are_recordings_of_each_parser() -> None:
    assert {case.split("/")[0] for case in CASES} == {"subunit", "junit", "rally", "verification"}


def test_a_finished_verification_with_a_lost_worker_has_unfinished_tests() -> None:
    head = json.loads((GOLDEN / "verification" / "lost" / "stream.json").read_text())
    (reported,) = head["verifications"].values()
    assert (reported["status"], reported["failures"]) == ("finished", 0)
    problems = {item.code: item.ids for item in parse("verification/lost") if type(item) is Reason}
    assert len(problems[Code.IN_PROGRESS]) == 2


@pytest.mark.parametrize("case", [case for case in SUBUNIT if LOST.search(case)])
def test_lost_tests_are_an_error_that_lists_them(run_dir: RunDir, case: str) -> None:
    run_dir.recorded(*case.split("/"))
    verdict = run_dir.judge()
    assert verdict.result is Result.ERROR
    lost = {found.id for found in verdict.cases if found.outcome is Outcome.MISSING}
    named = {test_id for reason in verdict.reasons for test_id in reason.ids}
    assert lost
    assert lost <= named


def cuts(stream: bytes) -> list[int]:
    """Return the borders of all packets, and 60 random places."""
    borders = []
    position = 0
    while position < len(stream) and stream[position] == 0xB3:
        borders.append(position)
        extra = stream[position + 3] >> 6
        number = int.from_bytes(stream[position + 3 : position + 4 + extra], "big")
        position += number & ((1 << (6 + 8 * extra)) - 1)
    inside = random.Random(SEED).choices(range(len(stream)), k=60)
    return sorted({*borders, *inside})


def resign(folder: Path, stream: bytes) -> None:
    """Replace a stream and its digest."""
    import hashlib

    (folder / "stream.subunit").write_bytes(stream)
    head = json.loads((folder / "attempt.json").read_text())
    head["sha256"]["stream.subunit"] = hashlib.sha256(stream).hexdigest()
    (folder / "attempt.json").write_text(json.dumps(head))


@pytest.mark.parametrize("case", [case for case in SUBUNIT if not LOST.search(case)])
def test_a_truncated_stream_is_an_error_even_with_a_correct_digest(
    run_dir: RunDir, case: str
) -> None:
    folder = run_dir.recorded(*case.split("/"))
    whole = (folder / "stream.subunit").read_bytes()
    places = cuts(whole)
    assert len(places) > 20
    for place in places:
        resign(folder, whole[:place])
        assert run_dir.judge().result is Result.ERROR, f"cut at {place} of {len(whole)}"


def test_a_recording_without_failures_passes(run_dir: RunDir) -> None:
    run_dir.recorded("subunit", "clean")
    assert run_dir.judge().result is Result.PASS


@pytest.mark.parametrize(
    "case",
    [
        "subunit/tempest",
        "subunit/tempest-import-error",
        "subunit/tempest-module-setup",
        "subunit/tempest-module-end",
        "junit/pytest",
        "junit/kyua",
    ],
)
def test_a_recording_with_failures_fails(run_dir: RunDir, case: str) -> None:
    run_dir.recorded(*case.split("/"))
    assert run_dir.judge().result is Result.FAIL
