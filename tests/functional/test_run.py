# SPDX-License-Identifier: Apache-2.0
"""Runs of real Tempest against a real cloud, as they should end and as they should not.

A run costs a cloud, so one is judged in many ways, and the one that is stopped is stopped again
and again before it may end.
"""

import configparser
import itertools
import json
import os
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from functional.place import BIN, SERVICES, Done, Place, Started, listening, wait_for

from bsdgate.results.errors import EvidenceError
from bsdgate.results.judge import judge_run
from bsdgate.results.model import Result
from bsdgate.results.parsers.subunit import StreamReader

pytestmark = pytest.mark.timeout(300)

ROOT = Path(__file__).parents[2]
FEW = (
    r"tempest\.api\.identity\.(admin\.v3\.test_(policies|regions)|v3\.test_(api_discovery|domains))"
)
"""Seven tests of a second in all."""
MANY = r"tempest\.api\.network\.test_(networks|ports|security_groups)"
"""Tests of some seconds each: there is time to do harm."""
TWO = ("--concurrency", "2")
POLICY_TEST = "test_policies.PoliciesTestJSON.test_create_update_delete_policy"


@dataclass(frozen=True)
class RunFolder:
    """What a run has left in its directory."""

    path: Path

    def read(self, name: str) -> Any:
        """Return the content of one of its JSON files."""
        return json.loads((self.path / name).read_text())

    @property
    def verdict(self) -> Any:
        return self.read("report/verdict.json")

    @property
    def attempts(self) -> dict[str, Any]:
        found = sorted(self.path.glob("evidence/*/attempt.json"))
        return {each.parent.name: json.loads(each.read_text()) for each in found}

    def reasons(self) -> dict[str, Any]:
        """Return the verdict's reasons by their codes."""
        return {reason["code"]: reason for reason in self.verdict["reasons"]}

    def journal(self) -> list[dict[str, Any]]:
        lines = (self.path / "journal.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def outcomes(self) -> int:
        """Count the tests that have reported in the newest attempt at Tempest's."""
        streams = sorted(self.path.glob("evidence/*-tempest/stream.subunit"))
        if not streams:
            return 0
        events = StreamReader().feed(streams[-1].read_bytes())
        return len({each.id for each in events if each.status in {"success", "skip", "fail"}})

    def asked(self, attempt: str) -> list[str]:
        return (self.path / "evidence" / attempt / "asked.txt").read_text().splitlines()

    def ports(self) -> list[int]:
        """Return the ports of the run's cloud, while it is there."""
        return list(self.read("cloud/spec.json")["ports"].values())


def runs(place: Place) -> list[RunFolder]:
    """Return the runs of a place, oldest first."""
    manifests = (place.state / "runs").glob("*/manifest.json")
    by_age = sorted(manifests, key=lambda each: each.stat().st_mtime_ns)
    return [RunFolder(each.parent) for each in by_age]


def begun(place: Place, *arguments: str | Path) -> tuple[Started, RunFolder]:
    """Start a new run and return it with its directory, as soon as tests have begun to report."""
    before = len(runs(place))
    started = place.start("bsdgate", "run", *arguments)
    wait_for(lambda: len(runs(place)) > before or started.popen.poll() is not None, "a new run")
    assert len(runs(place)) > before, started.text
    folder = runs(place)[-1]
    wait_for_tests(started, folder)
    return started, folder


def wait_for_tests(started: Started, folder: RunFolder) -> None:
    """Wait until tests of an attempt that is under way have reported."""

    def reporting() -> bool:
        assert started.popen.poll() is None, f"the run is over:\n{started.text}"
        last = [each["state"] for name, each in folder.attempts.items() if "tempest" in name][-1:]
        return last == ["running"] and folder.outcomes() > 0

    wait_for(reporting, "a test reports")


def resumed(place: Place, folder: RunFolder) -> Started:
    """Resume a run and return it as soon as tests have begun to report."""
    started = place.start("bsdgate", "run", "--resume", folder.path)
    wait_for_tests(started, folder)
    return started


def assert_nothing_left(place: Place, ports: list[int]) -> None:
    place.wait_until_empty(10)
    assert listening(ports) == []


# A run that ends well -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def good(place: Place) -> Done:
    return place.bsdgate("run", "--tests", FEW, *TWO)


@pytest.fixture(scope="module")
def passed(place: Place, good: Done) -> RunFolder:
    assert good.code == 0, good
    return runs(place)[0]


def test_good_run_passes_and_leaves_its_reports(good: Done, passed: RunFolder) -> None:
    assert "\nPASS:" in good.text
    assert str(passed.path / "report" / "report.html") in good.text
    reports = {each.name for each in (passed.path / "report").iterdir()}
    assert reports == {"verdict.json", "report.txt", "report.xml", "report.html"}
    verdict = passed.verdict
    assert (verdict["result"], verdict["reasons"]) == ("PASS", [])
    asked = [*passed.asked("01-hostchecks"), *passed.asked("02-tempest")]
    good_ones = [case["id"] for case in verdict["cases"] if case["outcome"] == "success"]
    assert sorted(good_ones) == sorted(asked)
    assert verdict["counts"]["asked"] == len(asked) > 15


def test_good_run_says_what_it_was(passed: RunFolder) -> None:
    manifest = passed.read("manifest.json")
    told = {name: manifest[name] for name in ("profile", "suite", "selection", "concurrency")}
    assert told == {"profile": "embedded", "suite": "smoke", "selection": FEW, "concurrency": 2}
    assert manifest["evidence"] == ["hostchecks", "tempest"]
    assert manifest["with"] == []
    assert manifest["versions"]["keystone"]
    steps = [event["step"] for event in passed.journal() if event["event"] == "end"]
    assert steps == ["deploy", "check", "configure", "test", "collect", "judge"]
    for attempt in passed.attempts.values():
        assert (attempt["state"], attempt["exit_status"], attempt["problems"]) == ("ended", 0, [])
        assert attempt["run_id"] == manifest["run_id"]


def test_good_run_keeps_the_logs_of_what_it_ended(passed: RunFolder) -> None:
    logs = {each.stem for each in (passed.path / "logs" / "services").iterdir()}
    assert set(SERVICES) <= logs
    assert not (passed.path / "cloud").exists()


def test_good_run_leaves_nothing_else(place: Place, passed: RunFolder) -> None:
    place.wait_until_empty(5)
    assert not place.clouds_yaml.exists()
    assert place.litter() == []


Harm = Callable[[Path], object]


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(folder: Path) -> None:
    for each in folder.iterdir():
        shutil.rmtree(each)


def drop_last_line(path: Path) -> None:
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


@pytest.mark.parametrize(
    ("name", "harm", "codes"),
    [
        ("evidence/02-tempest/stream.subunit", cut, {"truncated", "digest-mismatch"}),
        ("evidence/02-tempest/stream.subunit", Path.unlink, {"evidence-lost", "lost-test"}),
        ("evidence/02-tempest/stream.subunit", lambda path: os.truncate(path, 0), {"empty-stream"}),
        ("evidence/02-tempest/asked.txt", drop_last_line, {"digest-mismatch", "unasked"}),
        ("evidence/02-tempest/attempt.json", cut, {"attempt-unreadable"}),
        ("evidence/02-tempest", shutil.rmtree, {"evidence-lost"}),
        ("evidence/01-hostchecks", shutil.rmtree, {"evidence-lost"}),
        ("evidence", empty, {"no-evidence"}),
        ("evidence/01-hostchecks/stream.xml", cut, {"digest-mismatch"}),
    ],
)
def test_harmed_evidence_is_an_error(
    passed: RunFolder, tmp_path: Path, name: str, harm: Harm, codes: set[str]
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(passed.path, copy)
    assert judge_run(copy).result is Result.PASS
    harm(copy / name)
    verdict = judge_run(copy)
    assert verdict.result is Result.ERROR
    assert codes <= {str(reason.code) for reason in verdict.reasons}


def test_run_without_a_manifest_has_no_verdict(passed: RunFolder, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(passed.path, copy)
    (copy / "manifest.json").unlink()
    with pytest.raises(EvidenceError):
        judge_run(copy)


def test_run_of_another_version_is_not_resumed(
    place: Place, passed: RunFolder, tmp_path: Path
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(passed.path, copy)
    manifest = copy / "manifest.json"
    fields = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(fields | {"bsdgate_version": "0.0.1"}))
    refused = place.bsdgate("run", "--resume", copy)
    assert refused.code == 2
    assert "was made by bsdgate 0.0.1" in refused.text
    assert "start a new run" in refused.text
    assert not (copy / "cloud").exists()


# A run that is stopped, in every way, and goes on each time -----------------------------------


@dataclass(frozen=True)
class Stopped:
    """How a run was stopped: the run, how its command ended, and what was seen before."""

    folder: RunFolder
    done: Done
    seconds: float
    ports: list[int]


def stop(place: Place, started: Started, folder: RunFolder, how: Callable[[], None]) -> Stopped:
    ports = folder.ports()
    assert sorted(listening(ports)) == sorted(ports)
    began = time.monotonic()
    how()
    done = started.done(60)
    return Stopped(folder, done, time.monotonic() - began, ports)


@pytest.fixture(scope="module")
def interrupted(place: Place) -> Stopped:
    started, folder = begun(place, "--tests", MANY, *TWO)
    return stop(place, started, folder, started.press_ctrl_c)


@pytest.fixture(scope="module")
def tox(uv: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the tox that starts our jobs, in an environment of its own."""
    folder = tmp_path_factory.mktemp("tox")
    subprocess.run([uv, "venv", "--quiet", folder / "venv"], check=True)
    pins = ["--requirement", ROOT / "constraints" / "tox.txt"]
    install = [uv, "pip", "install", "--quiet", "--python", folder / "venv" / "bin" / "python"]
    subprocess.run([*install, *pins], check=True)
    return folder / "venv" / "bin" / "tox"


@pytest.fixture(scope="module")
def through_tox(place: Place, tox: Path, interrupted: Stopped) -> Stopped:
    """Resume the run under tox, with the patience that our tox.ini has, and stop it there."""
    ours = configparser.RawConfigParser()
    ours.read(ROOT / "tox.ini")
    patience = {key: value for key, value in ours["testenv"].items() if key.endswith("_timeout")}
    job = {
        "no_package": "true",
        "pass_env": "*",
        "allowlist_externals": str(BIN / "*"),
        "commands": f"{BIN / 'bsdgate'} run {{posargs}}",
    }
    lines = [f"{key} = {value}" for key, value in (job | patience).items()]
    ini = place.root / "tox.ini"
    ini.write_text("\n".join(["[testenv:tempest]", *lines, ""]))
    folder = interrupted.folder
    run = ["run", "-c", ini, "--workdir", place.root / "tox", "-e", "tempest"]
    # What virtualenv caches is tox's business.
    elsewhere = str(place.root / "tox-cache")
    command = [tox, *run, "--", "--resume", folder.path]
    started = place.start(*command, XDG_CACHE_HOME=elsewhere)
    wait_for_tests(started, folder)
    return stop(place, started, folder, started.press_ctrl_c)


@pytest.fixture(scope="module")
def killed(place: Place, through_tox: Stopped) -> Stopped:
    folder = through_tox.folder
    started = resumed(place, folder)
    return stop(place, started, folder, started.popen.kill)


def test_ctrl_c_stops_within_seconds(place: Place, interrupted: Stopped) -> None:
    assert interrupted.done.code == 130, interrupted.done
    assert interrupted.seconds < 5
    assert f"bsdgate run --resume {interrupted.folder.path}" in interrupted.done.text
    assert "Traceback" not in interrupted.done.text


def test_ctrl_c_leaves_a_run_that_can_be_resumed(place: Place, interrupted: Stopped) -> None:
    folder = interrupted.folder
    attempt = folder.attempts["02-tempest"]
    assert (attempt["state"], attempt["exit_status"]) == ("interrupted", None)
    assert not (folder.path / "cloud").exists()
    assert folder.journal()[-1]["event"] == "interrupt"
    verdict = judge_run(folder.path)
    assert verdict.result is Result.ERROR


def test_ctrl_c_leaves_nothing_running(place: Place, interrupted: Stopped) -> None:
    assert_nothing_left(place, interrupted.ports)


@pytest.mark.downloads
def test_ctrl_c_through_tox_is_not_cut_short(place: Place, through_tox: Stopped) -> None:
    assert through_tox.done.code != 0
    assert f"bsdgate run --resume {through_tox.folder.path}" in through_tox.done.text
    assert through_tox.seconds < 10
    assert through_tox.folder.attempts["03-tempest"]["state"] == "interrupted"
    assert_nothing_left(place, through_tox.ports)


@pytest.mark.downloads
def test_killed_harness_takes_everything_along(place: Place, killed: Stopped) -> None:
    assert killed.done.code == -signal.SIGKILL
    place.wait_until_empty(10)
    assert listening(killed.ports) == []
    assert killed.folder.attempts["04-tempest"]["state"] == "running"
    verdict = judge_run(killed.folder.path)
    assert verdict.result is Result.ERROR
    assert "attempt-running" in {str(reason.code) for reason in verdict.reasons}


@pytest.mark.downloads
def test_run_that_was_stopped_goes_on_to_its_end(place: Place, killed: Stopped) -> None:
    folder = killed.folder
    done = place.bsdgate("run", "--resume", folder.path)
    assert done.code == 0, done
    assert folder.verdict["result"] == "PASS"
    asked = [folder.asked(name) for name in folder.attempts if "tempest" in name]
    assert len(asked) == 4
    sizes = [len(ids) for ids in asked]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > sizes[-1] > 0, "what had an outcome was asked again"
    assert all(set(later) < set(earlier) for earlier, later in itertools.pairwise(asked))
    outcomes = {case["id"]: case["outcome"] for case in folder.verdict["cases"]}
    assert {outcomes[each] for each in asked[0]} == {"success"}
    assert_nothing_left(place, killed.ports)


@pytest.mark.downloads
def test_stopped_runs_leave_no_file_outside(place: Place, killed: Stopped) -> None:
    assert place.litter() == []


# A run in which something dies ----------------------------------------------------------------


def tempest_workers(place: Place) -> list[psutil.Process]:
    """Return the processes that run tests, without the shells before them."""
    found = []
    for each in place.processes():
        words = each.cmdline()
        if "stestr.subunit_runner.run" in words and "python" in Path(words[0]).name:
            found.append(each)
    return found


def test_killed_tempest_worker_is_an_error_that_names_its_tests(place: Place) -> None:
    started, folder = begun(place, "--tests", MANY, *TWO)
    ports = folder.ports()
    tempest_workers(place)[0].kill()
    done = started.done()
    assert done.code == 3, done
    assert "\nERROR:" in done.text
    assert folder.verdict["result"] == "ERROR"
    lost = {case["id"] for case in folder.verdict["cases"] if case["outcome"] == "missing"}
    assert lost
    assert lost < set(folder.asked("02-tempest"))
    named = {each for reason in folder.reasons().values() for each in reason["ids"]}
    assert lost <= named
    assert "lost-test" in folder.reasons()
    assert_nothing_left(place, ports)


def test_killed_service_ends_the_run_at_once_and_is_named(place: Place) -> None:
    started, folder = begun(place, "--tests", MANY, *TWO)
    ports = folder.ports()
    os.kill(folder.read("cloud/status.json")["services"]["nova"]["pid"], signal.SIGKILL)
    began = time.monotonic()
    done = started.done(60)
    assert time.monotonic() - began < 15, "it waited for something to time out"
    assert done.code == 3, done
    assert "nova died with status -9" in done.text
    assert folder.verdict["result"] == "ERROR"
    assert "nova died with status -9" in folder.reasons()["harness-problem"]["message"]
    assert_nothing_left(place, ports)


def test_full_disk_ends_the_run_and_is_named(place: Place) -> None:
    """What the harness may still write is limited in the midst of the tests."""
    started, folder = begun(place, "--tests", MANY, *TWO)
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


def test_disk_too_small_for_a_cloud_is_named(place: Place, passed: RunFolder) -> None:
    limited = 'ulimit -f 1000; exec "$@"'
    done = place.start("sh", "-c", limited, "sh", BIN / "bsdgate", "run", "--tests", FEW).done()
    assert done.code == 3, done
    assert "File too large" in done.text
    assert ".sqlite" in done.text
    assert "Traceback" not in done.text
    place.wait_until_empty(10)


def test_service_that_does_not_start_ends_the_run_with_its_log(
    place: Place, tmp_path: Path
) -> None:
    profile = yaml.safe_load((ROOT / "harness" / "profiles" / "embedded.yaml").read_text())
    profile["services"]["neutron"] = {"options": {"DEFAULT": {"core_plugin": "nonsense"}}}
    broken = tmp_path / "broken.yaml"
    broken.write_text(yaml.safe_dump(profile))
    done = place.bsdgate("run", "--profile", broken, "--tests", FEW)
    assert done.code == 3, done
    assert "neutron" in done.text
    assert "neutron/manager.py" in done.text
    assert "ImportError: Class not found." in done.text
    folder = runs(place)[-1]
    assert folder.verdict["result"] == "ERROR"
    assert "nonsense" in (folder.path / "logs" / "services" / "neutron.log").read_text()
    named = Path(done.text.partition("its log is ")[2].splitlines()[0])
    assert named.exists(), "the log that is named is not there"
    place.wait_until_empty(10)


def test_pattern_that_finds_no_test_is_refused(place: Place) -> None:
    done = place.bsdgate("run", "--tests", "no_such_test_anywhere")
    assert done.code == 2, done
    assert "no_such_test_anywhere" in done.text
    assert "PASS" not in done.text
    place.wait_until_empty(10)


# The change under test ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def checkout(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkout")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (found,) = folder.iterdir()
    return found


@pytest.mark.downloads
def test_change_without_a_defect_passes(place: Place, checkout: Path) -> None:
    done = place.bsdgate("run", "--with", f"keystone={checkout}", "--tests", FEW, *TWO)
    assert done.code == 0, done
    folder = runs(place)[-1]
    assert folder.verdict["result"] == "PASS"
    (change,) = folder.read("manifest.json")["with"]
    assert (change["project"], change["source"]) == ("keystone", str(checkout))
    (named,) = folder.verdict["run"]["sources"]
    assert str(checkout) in str(named)


@pytest.mark.downloads
def test_change_with_a_defect_fails_and_the_test_that_sees_it_is_named(
    place: Place, checkout: Path
) -> None:
    module = checkout / "keystone" / "api" / "policy.py"
    made = "policy = self._assign_unique_id(self._normalize_dict(policy_body))\n"
    assert module.read_text().count(made) == 1
    planted = f"{made}        policy['type'] = 'planted'\n"
    module.write_text(module.read_text().replace(made, planted))
    done = place.bsdgate("run", "--with", f"keystone={checkout}", "--tests", FEW, *TWO)
    assert done.code == 1, done
    folder = runs(place)[-1]
    assert folder.verdict["result"] == "FAIL"
    (failed,) = folder.reasons()["tests-failed"]["ids"]
    assert POLICY_TEST in failed
    assert POLICY_TEST in done.text
    assert_nothing_left(place, [])
