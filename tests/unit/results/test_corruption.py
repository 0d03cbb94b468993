# SPDX-License-Identifier: Apache-2.0
"""A short corruption campaign on recorded evidence of each kind."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from corruption.evidence import Evidence
from corruption.trials import Campaign, false_passes
from unit.results.conftest import RunDir

from bsdgate.results.model import Result

GOLDEN = Path(__file__).parents[2] / "golden"
SEED = 20261122
TRIALS = 250


@pytest.fixture
def recorded(
    run_dir: RunDir, sealed: Callable[..., bytes], tmp_path: Path
) -> Callable[..., Evidence]:
    """Return a function that writes a run of golden recordings, given as (parser, case) pairs."""

    def make(run_id: str, *recordings: tuple[str, str]) -> Evidence:
        run = type(run_dir)(tmp_path / run_id)
        run.manifest["run_id"] = run_id
        kinds = []
        for number, (parser, case) in enumerate(recordings, 1):
            folder = GOLDEN / parser / case
            facts = json.loads((folder / "recorded.json").read_text())
            stream = (folder / facts["stream"]).read_bytes()
            name = f"{number:02}-{parser}"
            if parser == "subunit":
                stream = sealed(stream, name, run_id)
            asked = (folder / facts["asked"]).read_bytes()
            head = {"exit_status": facts["exit_status"], "started": None, "ended": None}
            made = run.attempt(name, asked, stream, parser, run_id=run_id, **head)
            kinds.append(json.loads((made / "attempt.json").read_text())["kind"])
        run.requires(*kinds)
        return Evidence.of(run_id, run.path)

    return make


@pytest.fixture
def campaign(recorded: Callable[..., Evidence], tmp_path: Path) -> Campaign:
    runs = [
        recorded("passes", ("subunit", "clean")),
        recorded("fails", ("subunit", "outcomes"), ("junit", "pytest")),
        recorded("errs", ("rally", "dummies")),
        recorded("tempest", ("subunit", "tempest")),
    ]
    return Campaign(runs, tmp_path / "harmed", SEED)


def test_uncorrupted_runs_have_their_verdicts(campaign: Campaign) -> None:
    assert campaign.untouched["passes"] is Result.PASS
    assert campaign.untouched["fails"] is campaign.untouched["tempest"] is Result.FAIL
    assert campaign.untouched["errs"] is Result.ERROR


@pytest.mark.parametrize("digests", ["as taken while streaming", "made to fit"])
def test_corrupted_evidence_never_passes(campaign: Campaign, digests: str) -> None:
    rows = campaign.harm(TRIALS, sealed=digests.startswith("as"))
    assert false_passes(rows) == {}


def test_harmless_rewrites_change_no_verdict(campaign: Campaign) -> None:
    assert campaign.rewrite(TRIALS // 2) == []
