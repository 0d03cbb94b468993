# SPDX-License-Identifier: Apache-2.0
"""Runs of real Tempest that are stopped, or in which a process is killed.

Each run needs a cloud, so one run is stopped and resumed several times.
"""

import configparser
import itertools
import os
import shlex
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
import yaml
from functional.place import BIN, Place, listening
from functional.run_folder import (
    IDENTITY,
    LEFT,
    MANY,
    MODULES,
    TWO,
    RunFolder,
    Stopped,
    assert_nothing_left,
    begun,
    resumed,
    stop,
    wait_for_tests,
)

from bsdgate.results.judge import judge_run
from bsdgate.results.model import Result

pytestmark = pytest.mark.timeout(300)

ROOT = Path(__file__).parents[2]


# A run that is stopped in several ways, and resumed each time ---------------------------------


@pytest.fixture(scope="module")
def profile(place: Place) -> Path:
    """Copy a profile to a file of the user."""
    made = place.root / "mine.yaml"
    made.write_bytes((ROOT / "harness" / "profiles" / "keystone.yaml").read_bytes())
    return made


@pytest.fixture(scope="module")
def interrupted(place: Place, profile: Path) -> Stopped:
    """Stop a run under nohup: SIGHUP does not stop it, Ctrl-C does."""
    asked = ["--tests", MODULES, "--suite", "gate", "--profile", str(profile), *TWO]
    started, folder = begun(place, *asked, modules=LEFT, under=("nohup",))
    started.popen.send_signal(signal.SIGHUP)
    wait_for_tests(started, folder, folder.modules() + 1)
    return stop(place, started, folder, started.press_ctrl_c)


@pytest.fixture(scope="module")
def tox(uv: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return tox, installed in its own environment."""
    folder = tmp_path_factory.mktemp("tox")
    subprocess.run([uv, "venv", "--quiet", folder / "venv"], check=True)
    pins = ["--requirement", str(ROOT / "constraints" / "tox.txt")]
    install = [uv, "pip", "install", "--quiet", "--python", str(folder / "venv" / "bin" / "python")]
    subprocess.run([*install, *pins], check=True)
    return folder / "venv" / "bin" / "tox"


@pytest.fixture(scope="module")
def through_tox(place: Place, tox: Path, interrupted: Stopped) -> Stopped:
    """Resume the run under tox, with the timeouts of our tox.ini, and stop it."""
    ours = configparser.RawConfigParser()
    ours.read(ROOT / "tox.ini")
    patience = {key: value for key, value in ours["testenv"].items() if key.endswith("_timeout")}
    job = {
        "no_package": "true",
        "pass_env": "*",
        "allowlist_externals": str(BIN / "*"),
        "commands": f'"{BIN / "bsdgate"}" run {{posargs}}',
    }
    lines = [f"{key} = {value}" for key, value in (job | patience).items()]
    ini = place.root / "tox.ini"
    ini.write_text("\n".join(["[testenv:tempest]", *lines, ""]))
    folder = interrupted.folder
    run = ["run", "-c", str(ini), "--workdir", str(place.root / "tox"), "-e", "tempest"]
    # The cache of virtualenv belongs to tox.
    elsewhere = str(place.root / "tox-cache")
    command = [str(tox), *run, "--", "--resume", str(folder.path)]
    started = place.start(*command, XDG_CACHE_HOME=elsewhere)
    wait_for_tests(started, folder, LEFT)
    return stop(place, started, folder, started.press_ctrl_c)


@pytest.fixture(scope="module")
def killed(place: Place, through_tox: Stopped) -> Stopped:
    folder = through_tox.folder
    started = resumed(place, folder, LEFT)
    return stop(place, started, folder, started.popen.kill)


def test_ctrl_c_stops_within_seconds(place: Place, interrupted: Stopped) -> None:
    assert interrupted.done.code == 130, interrupted.done
    assert interrupted.seconds < 5
    resume = f"bsdgate run --resume {shlex.quote(str(interrupted.folder.path))}"
    assert resume in interrupted.done.text
    assert "Traceback" not in interrupted.done.text


def test_ctrl_c_leaves_a_run_that_can_be_resumed(place: Place, interrupted: Stopped) -> None:
    folder = interrupted.folder
    attempt = folder.attempts["02-tempest"]
    assert (attempt["state"], attempt["exit_status"]) == ("interrupted", None)
    assert not (folder.path / "cloud").exists()
    assert "interrupt" in [event["event"] for event in folder.journal()]
    verdict = judge_run(folder.path)
    assert verdict.result is Result.ERROR


def test_hangup_stops_no_run_under_nohup(interrupted: Stopped) -> None:
    # Tests of another module had reported before Ctrl-C.
    assert interrupted.done.code == 130, interrupted.done


def test_ctrl_c_leaves_no_process(place: Place, interrupted: Stopped) -> None:
    assert_nothing_left(place, interrupted.ports)


def test_run_is_not_resumed_with_an_edited_profile(
    place: Place, profile: Path, interrupted: Stopped
) -> None:
    folder, content = interrupted.folder, profile.read_text()
    edited = yaml.safe_load(content)
    edited["services"]["keystone"] = {"options": {"DEFAULT": {"max_project_tree_depth": 1}}}
    profile.write_text(yaml.safe_dump(edited))
    done = place.bsdgate("run", "--resume", folder.path)
    profile.write_text(content)
    assert done.code == 2, done
    assert f"{folder.path} was begun with other settings:" in done.text
    assert "services.keystone.options.DEFAULT is " in done.text
    assert list(folder.attempts) == ["01-hostchecks", "02-tempest"]


@pytest.mark.downloads
def test_tox_waits_for_the_cleanup_after_ctrl_c(place: Place, through_tox: Stopped) -> None:
    assert through_tox.done.code != 0
    assert (
        f"bsdgate run --resume {shlex.quote(str(through_tox.folder.path))}" in through_tox.done.text
    )
    assert through_tox.seconds < 10
    assert through_tox.folder.attempts["03-tempest"]["state"] == "interrupted"
    assert_nothing_left(place, through_tox.ports)


@pytest.mark.downloads
def test_a_killed_harness_leaves_no_process(place: Place, killed: Stopped) -> None:
    assert killed.done.code == -signal.SIGKILL
    place.wait_until_empty(10)
    assert listening(killed.ports) == []
    assert killed.folder.attempts["04-tempest"]["state"] == "running"
    verdict = judge_run(killed.folder.path)
    assert verdict.result is Result.ERROR
    assert "attempt-running" in {str(reason.code) for reason in verdict.reasons}


@pytest.mark.downloads
def test_a_stopped_run_is_resumed_and_completed(place: Place, killed: Stopped) -> None:
    folder = killed.folder
    done = place.bsdgate("run", "--resume", folder.path)
    assert done.code == 0, done
    assert folder.verdict["result"] == "PASS"
    asked = [folder.asked(name) for name in folder.attempts if "tempest" in name]
    assert len(asked) == 4
    sizes = [len(ids) for ids in asked]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] > 0
    assert all(set(later) < set(earlier) for earlier, later in itertools.pairwise(asked)), (
        "nothing counted, or something else was asked"
    )
    outcomes = {case["id"]: case["outcome"] for case in folder.verdict["cases"]}
    assert {outcomes[each] for each in asked[0]} == {"success"}
    assert_nothing_left(place, killed.ports)


@pytest.mark.downloads
def test_stopped_runs_leave_no_file_outside_their_directories(
    place: Place, killed: Stopped
) -> None:
    assert place.stray_files() == []


# Runs in which a process is killed ------------------------------------------------------------


def tempest_workers(place: Place) -> list[psutil.Process]:
    """Return the processes that run tests, without their parent shells."""
    found = []
    for each in place.processes():
        words = each.cmdline()
        if "stestr.subunit_runner.run" in words and "python" in Path(words[0]).name:
            found.append(each)
    return found


def test_killed_tempest_worker_is_an_error_that_names_its_tests(place: Place) -> None:
    started, folder = begun(place, *IDENTITY, *TWO)
    ports = folder.ports()
    tempest_workers(place)[0].kill()
    done = started.done()
    assert done.code == 3, done
    assert "\nERROR:" in done.text
    assert folder.verdict["result"] == "ERROR"
    assert_lost_tests_are_named(folder)
    assert_nothing_left(place, ports)


def assert_lost_tests_are_named(folder: RunFolder) -> None:
    lost = {case["id"] for case in folder.verdict["cases"] if case["outcome"] == "missing"}
    assert lost
    assert lost < set(folder.asked("02-tempest"))
    assert lost == set(folder.reasons()["lost-test"]["ids"])


def test_a_killed_service_ends_the_run_at_once_and_is_reported(place: Place) -> None:
    started, folder = begun(place, "--tests", MANY, *TWO)
    ports = folder.ports()
    os.kill(folder.read("cloud/status.json")["services"]["nova"]["pid"], signal.SIGKILL)
    began = time.monotonic()
    done = started.done(60)
    assert time.monotonic() - began < 15, "it waited for something to time out"
    assert done.code == 3, done
    assert "nova died with status -9" in done.text
    assert folder.verdict["result"] == "ERROR"
    assert "nova died with status -9" in folder.reasons()["service-died"]["message"]
    assert_lost_tests_are_named(folder)
    assert_nothing_left(place, ports)


def test_a_full_disk_ends_the_run_and_is_reported(place: Place) -> None:
    """During the tests, the size of files that the harness can write is limited."""
    started, folder = begun(place, *IDENTITY, *TWO)
    ports = folder.ports()
    harness = psutil.Process(started.popen.pid)
    harness.rlimit(psutil.RLIMIT_FSIZE, (8192, 8192))
    done = started.done(60)
    assert done.code == 3, done
    assert f"cannot write {folder.path}" in done.text
    assert "File too large" in done.text
    assert "BSDGATE_STATE_DIR" in done.text
    assert "Traceback" not in done.text
    assert_nothing_left(place, ports)
