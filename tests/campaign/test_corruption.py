# SPDX-License-Identifier: Apache-2.0
"""The evidence of real runs is damaged in ten thousand ways: none passes, in either mode.

``BSDGATE_CAMPAIGN_TRIALS`` and ``BSDGATE_CAMPAIGN_SEED`` choose another size and seed; CI
damages recorded evidence a few hundred times in ``tests/unit`` and ``tests/functional``.
"""

import os
import random
from pathlib import Path

import pytest
import yaml
from corruption.evidence import Evidence
from corruption.trials import Campaign, false_passes, table
from functional.place import Place
from functional.run_folder import FEW, runs

from bsdgate.results.model import Result

TRIALS = int(os.environ.get("BSDGATE_CAMPAIGN_TRIALS", "10000"))
SEED = int(os.environ.get("BSDGATE_CAMPAIGN_SEED", "0")) or random.SystemRandom().getrandbits(32)
PEERS_EACH = 10
PROFILES = Path(__file__).parents[2] / "harness" / "profiles"
TESTS = FEW + r"|test_live_migration|test_projects\.ProjectsTestJSON\.test_project_create_"


@pytest.fixture(scope="module")
def recorded(place: Place) -> list[Evidence]:
    """Return three runs: one passes, one fails and has re-runs, one is of Rally."""
    profile = yaml.safe_load((PROFILES / "embedded.yaml").read_text())
    profile["services"]["keystone"] = {"options": {"DEFAULT": {"max_project_tree_depth": 1}}}
    broken = place.root / "broken.yaml"
    broken.write_text(yaml.safe_dump(profile))
    found = []
    for name, code, asked in (
        ("passes", 0, ["--suite", "gate", "--tests", TESTS]),
        ("fails", 1, ["--suite", "gate", "--tests", TESTS, "--profile", broken]),
        ("rally", 0, ["--suite", "rally-smoke"]),
    ):
        done = place.bsdgate("run", *asked)
        assert done.code == code, done
        found.append(Evidence.of(name, runs(place)[-1].path))
    return found


@pytest.mark.filterwarnings("ignore")  # stestr leaves files open
def test_damaged_evidence_never_passes(recorded: list[Evidence], tmp_path: Path) -> None:
    campaign = Campaign(recorded, tmp_path / "run", SEED, PEERS_EACH)
    print(f"\nseed {SEED}; untouched: {campaign.untouched}")
    assert set(campaign.untouched.values()) == {Result.PASS, Result.FAIL}
    sealed = campaign.harm(TRIALS, sealed=True)
    print(table(f"sealed ({TRIALS})", sealed), "\n")
    unsealed = campaign.harm(TRIALS, sealed=False)
    print(table(f"unsealed ({TRIALS})", unsealed), "\n")
    print(table("undetectable alone", campaign.flip(TRIALS // 50)), "\n")
    changed = campaign.rewrite(max(1000, TRIALS // 10))
    print(f"harmless rewrites that changed a verdict: {len(changed)} of {max(1000, TRIALS // 10)}")
    assert changed == []
    assert false_passes(sealed) == {}
    assert false_passes(unsealed) == {}
    assert all(row.trials for row in unsealed.values())
