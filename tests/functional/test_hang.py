# SPDX-License-Identifier: Apache-2.0
"""Runs that end by the time limit for all tests, with and without a test that hangs."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from functional.hooked import Hooked
from functional.place import Place
from functional.run_folder import TWO, RunFolder, assert_nothing_left, runs

pytestmark = [pytest.mark.timeout(900), pytest.mark.downloads]

PROFILES = Path(__file__).parents[2] / "harness" / "profiles"
POLICIES = r"tempest\.api\.identity\.admin\.v3\.test_policies\."
POLICY_TEST = "test_policies.PoliciesTestJSON.test_create_update_delete_policy"

SECONDS = 20
"""The time limits of a test and of all tests in seconds: a test that hangs exceeds both."""
SLEEPS = f"__import__('time').sleep({SECONDS + 10})"


@pytest.fixture
def silent() -> Iterator[str]:
    """Return the URL of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def profile_with(folder: Path, **services: Any) -> Path:
    """Write a copy of the profile keystone with these limits and settings."""
    profile = yaml.safe_load((PROFILES / "keystone.yaml").read_text())
    profile["timeouts"] = {"start": 300, "configure": 120, "test": SECONDS, "run": SECONDS}
    profile["services"] |= services
    path = folder / "hurried.yaml"
    path.write_text(yaml.safe_dump(profile))
    return path


def run(
    place: Place, hooked: Hooked, profile: Path, tests: str, code: int
) -> tuple[RunFolder, str]:
    asked: list[str | Path] = ["--suite", "gate", "--profile", profile, "--tests", tests, *TWO]
    done = place.start("bsdgate", "run", "--with", f"keystone={hooked.path}", *asked).done(800)
    assert done.code == code, done
    assert_nothing_left(place, [])
    return runs(place)[-1], done.text


def failures(folder: Any) -> list[dict[str, Any]]:
    """Return the findings on failed tests; without an outcome there is no signature."""
    return [each for each in folder.verdict["dispositions"] if each["signature"]]


def shown(finding: dict[str, Any]) -> list[str]:
    return [re.sub(r"^\d\d-", "", each) for each in finding["evidence"]]


WITH_THE_CHANGE = "confirm-change, with the change: "
ON_THE_BASE = "confirm-base, on the base: "
SAME = "fail, the same failure"


def test_a_test_that_hangs_by_the_change_fails_and_is_attributed_to_the_change(
    place: Place, hooked: Hooked, tmp_path: Path
) -> None:
    """Keystone answers with one thread: while it hangs, all its clients wait."""
    hooked.plant(SLEEPS)
    folder, text = run(place, hooked, profile_with(tmp_path), POLICIES, 1)
    assert folder.verdict["result"] == "FAIL"
    reasons = folder.reasons()
    (failed,) = reasons["tests-failed"]["ids"]
    assert POLICY_TEST in failed
    assert reasons["time-limit"]["level"] == "fail"
    assert f"did not end within {SECONDS} s" in reasons["time-limit"]["message"]
    (finding,) = failures(folder)
    assert (finding["id"], finding["cause"]) == (failed, "change"), finding
    assert shown(finding) == [WITH_THE_CHANGE + SAME] * 2 + [ON_THE_BASE + "success"] * 2
    assert f"{failed}: fail did not end within {SECONDS} s" in text


def test_a_test_that_hangs_on_the_base_too_is_not_the_changes(
    place: Place, hooked: Hooked, tmp_path: Path, silent: str
) -> None:
    """The defect is in Keystone's settings: a server that never answers decides on policies."""
    rules = tmp_path / "rules.yaml"
    rules.write_text(yaml.safe_dump({"identity:create_policy": silent}))
    options = {"policy_file": str(rules), "remote_timeout": SECONDS + 10}
    profile = profile_with(tmp_path, keystone={"options": {"oslo_policy": options}})
    folder, text = run(place, hooked, profile, POLICIES, 3)
    assert folder.verdict["result"] == "ERROR"
    assert folder.reasons()["time-limit"]["level"] == "error"
    (finding,) = failures(folder)
    assert POLICY_TEST in finding["id"]
    assert finding["cause"] == "base", finding
    assert shown(finding) == [WITH_THE_CHANGE + SAME] * 2 + [ON_THE_BASE + SAME] * 2
    assert POLICY_TEST in text


def test_a_run_that_exceeds_its_time_without_a_hanging_test_is_an_error(
    place: Place, hooked: Hooked, tmp_path: Path
) -> None:
    """Keystone waits once, as on a busy machine."""
    marker = f"marker = __import__('pathlib').Path({str(tmp_path / 'waited')!r})"
    hooked.plant(f"{marker}; marker.exists() or (marker.touch(), {SLEEPS})")
    folder, _ = run(place, hooked, profile_with(tmp_path), POLICIES, 3)
    assert folder.verdict["result"] == "ERROR"
    reasons = folder.reasons()
    assert reasons["time-limit"]["level"] == "error"
    in_progress = set(reasons["in-progress"]["ids"])
    again = {name: each for name, each in folder.attempts.items() if each["confirms"]}
    assert [each["side"] for each in again.values()] == ["change"] * 2 + ["base"] * 2
    assert all(set(folder.asked(name)) == in_progress for name in again)
    assert all(each["problems"] == [] for each in again.values())
    assert failures(folder) == []
    assert in_progress <= set(reasons["lost-test"]["ids"])
