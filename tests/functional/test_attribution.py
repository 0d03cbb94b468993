# SPDX-License-Identifier: Apache-2.0
"""The cause of a failure, found by real runs: the change, or the base."""

import re
from pathlib import Path

import pytest
import yaml
from functional.hooked import Hooked
from functional.place import Done, Place
from functional.run_folder import FEW, KEYSTONE, TWO, RunFolder, assert_nothing_left, runs

pytestmark = [pytest.mark.timeout(900), pytest.mark.downloads]

PROFILES = Path(__file__).parents[2] / "harness" / "profiles"
POLICY_TEST = "test_policies.PoliciesTestJSON.test_create_update_delete_policy"
SLOW = ("--timeout-factor", "3")
"""The time limit for re-runs is too short for a busy machine."""
PARENT_TEST = "test_projects.ProjectsTestJSON.test_project_create_with_parent"
ENABLED_TEST = "test_projects.ProjectsTestJSON.test_project_create_enabled"


def test_defect_of_the_change_fails_and_is_attributed_to_the_change(
    place: Place, hooked: Hooked
) -> None:
    hooked.plant("policy_body['type'] = 'planted'")
    asked = [*KEYSTONE, "--tests", FEW, *TWO, *SLOW]
    done = place.start("bsdgate", "run", "--with", f"keystone={hooked.path}", *asked).done(600)
    assert done.code == 1, done
    folder = runs(place)[-1]
    assert folder.verdict["result"] == "FAIL"
    (failed,) = folder.reasons()["tests-failed"]["ids"]
    assert POLICY_TEST in failed
    assert POLICY_TEST in done.text
    (finding,) = folder.verdict["dispositions"]
    assert (finding["id"], finding["cause"]) == (failed, "change"), finding
    shown = [re.sub(r"^\d\d-", "", each) for each in finding["evidence"]]
    again = "confirm-change, with the change: fail, the same failure"
    assert shown == [again] * 2 + ["confirm-base, on the base: success"] * 2
    assert_nothing_left(place, [])
    check_reproduction(place, folder)


def check_reproduction(place: Place, folder: RunFolder) -> None:
    """Check that the run can be reproduced, as a whole and with its failed test only.

    The clouds are kept: then nothing is run on the base.
    """
    whole, second = reproduced(place, folder)
    assert f"reproduced {folder.path.name}: FAIL, " in whole.text
    workers = "evidence/02-tempest/workers.json"
    assert second.read(workers) == folder.read(workers)
    part, third = reproduced(place, folder, "--only-failed", "--until-fail", "2")
    assert "try 1 of 2" in part.text
    assert "try 2 of 2" not in part.text
    assert f"reproduced {folder.path.name}: FAIL, 1 of its tests" in part.text
    assert len(third.asked("02-tempest")) == 1
    assert_nothing_left(place, [])


def reproduced(place: Place, folder: RunFolder, *options: str) -> tuple[Done, RunFolder]:
    """Reproduce a run that failed, and end the cloud that is kept."""
    done = place.start("bsdgate", "reproduce", folder.path, "--keep", *options).done(600)
    assert done.code == 1, done
    new = runs(place)[-1]
    down = place.bsdgate("down", new.path)
    assert down.code == 0, down
    return done, new


def test_defect_that_the_base_has_as_well_is_not_the_changes(
    place: Place, hooked: Hooked, tmp_path: Path
) -> None:
    """Keystone's settings are the defect: projects may have no parents."""
    profile = yaml.safe_load((PROFILES / "keystone.yaml").read_text())
    profile["services"]["keystone"] = {"options": {"DEFAULT": {"max_project_tree_depth": 1}}}
    broken = tmp_path / "broken.yaml"
    broken.write_text(yaml.safe_dump(profile))
    tests = f"{PARENT_TEST}|{ENABLED_TEST}"
    asked = ["--suite", "gate", "--profile", str(broken), "--tests", tests, *TWO, *SLOW]
    done = place.start("bsdgate", "run", "--with", f"keystone={hooked.path}", *asked).done(600)
    assert done.code == 0, done
    folder = runs(place)[-1]
    assert folder.verdict["result"] == "PASS"
    (excused,) = folder.reasons()["fails-on-base"]["ids"]
    assert PARENT_TEST in excused
    assert folder.verdict["counts"]["fail"] == 1
    (finding,) = folder.verdict["dispositions"]
    assert (finding["id"], finding["cause"]) == (excused, "base"), finding
    assert PARENT_TEST in done.text
    # For the nightly policy, a failure on the base counts too.
    nightly = place.bsdgate("verdict", folder.path, "--policy", "nightly")
    assert nightly.code == 3, nightly
    assert "ERROR narrowed: " in nightly.text
    assert "FAIL fails-on-base: " in nightly.text
    assert PARENT_TEST in nightly.text
    assert_nothing_left(place, [])
