# SPDX-License-Identifier: Apache-2.0
"""A run with its own known failures."""

import shutil
from pathlib import Path

import pytest
import yaml
from functional.place import Place
from functional.run_folder import TWO, runs
from functional.test_attribution import ENABLED_TEST, PARENT_TEST, PROFILES

pytestmark = [pytest.mark.timeout(400), pytest.mark.downloads]

ENTRY = f"""\
- test: "*.{PARENT_TEST}"
  bug: https://bugs.example.org/1
  owner: jane
  reason: projects may have no parents here
  since: 2026-01-01
  expires: 2100-01-01
"""


def test_known_failures_of_a_run_are_in_its_directory(place: Place, tmp_path: Path) -> None:
    profile = yaml.safe_load((PROFILES / "keystone.yaml").read_text())
    profile["services"]["keystone"] = {"options": {"DEFAULT": {"max_project_tree_depth": 1}}}
    broken, known = tmp_path / "broken.yaml", tmp_path / "known"
    broken.write_text(yaml.safe_dump(profile))
    known.mkdir()
    (known / "keystone.yaml").write_text(ENTRY)
    asked = [
        "--suite",
        "gate",
        "--profile",
        str(broken),
        "--tests",
        f"{PARENT_TEST}|{ENABLED_TEST}",
    ]
    done = place.bsdgate("run", *asked, "--expectations", known, *TWO)
    assert done.code == 0, done
    folder = runs(place)[-1]
    (excused,) = folder.reasons()["known-failure"]["ids"]
    assert PARENT_TEST in excused
    # A known failure is not run again.
    assert [path.name for path in sorted((folder.path / "evidence").iterdir())] == [
        "01-hostchecks",
        "02-tempest",
    ]
    shutil.rmtree(known)
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(folder.path, elsewhere)
    assert place.bsdgate("verdict", elsewhere).code == 0
    (copy,) = (elsewhere / "expectations").iterdir()
    copy.write_text(ENTRY.replace(PARENT_TEST, "*"))
    harmed = place.bsdgate("verdict", elsewhere)
    assert harmed.code == 3, harmed
    assert "expectations/001-keystone.yaml: does not have the recorded" in harmed.text
