# SPDX-License-Identifier: Apache-2.0
"""What the parsers and the judge make of streams recorded from real runners.

``BSDGATE_GOLDEN=rewrite`` writes the expectations anew; CI refuses that.
"""

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

from bsdgate.results import document
from bsdgate.results.model import Outcome, Result, Verdict

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
CASES = sorted(str(path.parent.relative_to(GOLDEN)) for path in GOLDEN.glob("*/*/recorded.json"))
SUBUNIT = [case for case in CASES if case.startswith("subunit/")]
REWRITE = os.environ.get("BSDGATE_GOLDEN") == "rewrite"
SEED = 20261122


def as_json(verdict: Verdict) -> dict[str, Any]:
    whole = json.loads(document.render(verdict))
    return {key: whole[key] for key in ("result", "reasons", "counts", "fixtures", "cases")}


@pytest.mark.parametrize("case", CASES)
def test_recorded_run_is_judged_as_expected(run_dir, case):
    run_dir.recorded(*case.split("/"))
    found = as_json(run_dir.judge())
    file = GOLDEN / case / "expected.json"
    if REWRITE:
        assert not os.environ.get("CI"), "golden files are rewritten by people, not by CI"
        file.write_text(json.dumps(found, indent=1) + "\n")
    assert found == json.loads(file.read_text())


def test_there_are_recordings_of_each_parser():
    assert {case.split("/")[0] for case in CASES} == {"subunit", "junit", "rally"}


@pytest.mark.parametrize(
    "case", ["exit-between", "exit-inside", "kill-between", "kill-inside", "import-error"]
)
def test_lost_worker_is_an_error_that_names_what_was_lost(run_dir, case):
    run_dir.recorded("subunit", case)
    verdict = run_dir.judge()
    assert verdict.result is Result.ERROR
    lost = {found.id for found in verdict.cases if found.outcome is Outcome.MISSING}
    named = {test_id for reason in verdict.reasons for test_id in reason.ids}
    assert lost
    assert lost <= named


def cuts(stream: bytes) -> list[int]:
    """Every packet's border, and as many places inside packets."""
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
    """Replace a stream and its digest, as if it had been recorded so."""
    import hashlib

    (folder / "stream.subunit").write_bytes(stream)
    head = json.loads((folder / "attempt.json").read_text())
    head["sha256"]["stream.subunit"] = hashlib.sha256(stream).hexdigest()
    (folder / "attempt.json").write_text(json.dumps(head))


@pytest.mark.parametrize("case", SUBUNIT)
def test_no_cut_stream_proves_anything_even_with_a_right_digest(run_dir, case):
    folder = run_dir.recorded(*case.split("/"))
    whole = (folder / "stream.subunit").read_bytes()
    places = cuts(whole)
    assert len(places) > 20
    for place in places:
        resign(folder, whole[:place])
        assert run_dir.judge().result is Result.ERROR, f"cut at {place} of {len(whole)}"


def test_untouched_recording_without_failures_passes(run_dir):
    run_dir.recorded("subunit", "clean")
    assert run_dir.judge().result is Result.PASS


@pytest.mark.parametrize("case", ["subunit/tempest", "junit/pytest"])
def test_recording_with_failures_fails(run_dir, case):
    run_dir.recorded(*case.split("/"))
    assert run_dir.judge().result is Result.FAIL
