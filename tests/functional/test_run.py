# SPDX-License-Identifier: Apache-2.0
"""Runs of real Tempest against a real cloud: good runs and failures.

Each run needs a cloud, so one run is judged in many ways.
"""

import itertools
import json
import os
import platform
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from functional.hooked import Hooked
from functional.place import BIN, SERVICES, Done, Place
from functional.run_folder import FEW, KEYSTONE, TWO, RunFolder, runs

from bsdgate.results.errors import EvidenceError
from bsdgate.results.judge import judge_run
from bsdgate.results.model import Result

# The first test may wait for the templates, and a test of a change for the tests before it.
pytestmark = pytest.mark.timeout(600)

ROOT = Path(__file__).parents[2]


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
    assert reports == {"verdict.json", "report.txt", "report.xml", "report.html", "zuul.json"}
    verdict = passed.verdict
    assert verdict["result"] == "PASS"
    assert [reason["code"] for reason in verdict["reasons"]] == ["narrowed"]
    asked = [*passed.asked("01-hostchecks"), *passed.asked("02-tempest")]
    good_ones = [case["id"] for case in verdict["cases"] if case["outcome"] == "success"]
    assert sorted(good_ones) == sorted(asked)
    assert verdict["counts"]["asked"] == len(asked) > 15


def test_a_good_run_records_the_tests_of_each_worker(passed: RunFolder) -> None:
    shares = passed.read("evidence/02-tempest/workers.json")
    assert len(shares) == 2
    assert sorted(itertools.chain(*shares)) == sorted(passed.asked("02-tempest"))


def test_a_good_run_records_its_settings(passed: RunFolder) -> None:
    manifest = passed.read("manifest.json")
    recorded = {name: manifest[name] for name in ("profile", "suite", "selection", "concurrency")}
    assert recorded == {"profile": "embedded", "suite": "smoke", "selection": FEW, "concurrency": 2}
    assert manifest["evidence"] == ["hostchecks", "tempest"]
    assert manifest["with"] == []
    node = passed.read("node.json")
    assert (node["run_id"], node["name"]) == (manifest["run_id"], "local")
    assert node["versions"]["keystone"]
    assert node["facts"]["python"] == platform.python_version()
    steps = [event["step"] for event in passed.journal() if event["event"] == "end"]
    assert steps == [
        "provision",
        "deploy",
        "check",
        "configure",
        "test",
        "collect",
        "confirm",
        "inspect",
        "close",
    ]
    for moment in ("begin", "end"):
        inspection = passed.read(f"node/01-{moment}.json")
        assert (inspection["run_id"], inspection["name"]) == (manifest["run_id"], "local")
        assert inspection["facts"].items() < node["facts"].items()
    for attempt in passed.attempts.values():
        assert (attempt["state"], attempt["exit_status"], attempt["problems"]) == ("ended", 0, [])
        assert attempt["run_id"] == manifest["run_id"]


def test_a_good_run_keeps_the_logs_of_its_cloud(passed: RunFolder) -> None:
    logs = {each.stem for each in (passed.path / "logs" / "services").iterdir()}
    assert set(SERVICES) <= logs
    assert not (passed.path / "cloud").exists()


def test_good_run_leaves_nothing_else(place: Place, passed: RunFolder) -> None:
    place.wait_until_empty(5)
    assert not place.clouds_yaml.exists()
    assert place.stray_files() == []


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
def test_damaged_evidence_is_an_error(
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
    manifest.write_text(
        json.dumps(fields | {"bsdgate_version": "0.0.1", "bsdgate_sha256": "0" * 64})
    )
    refused = place.bsdgate("run", "--resume", copy)
    assert refused.code == 2
    assert "was made by bsdgate 0.0.1" in refused.text
    assert "start a new run" in refused.text
    assert not (copy / "cloud").exists()


# Runs that fail ---------------------------------------------------------------------------------


def test_a_disk_too_small_for_a_cloud_is_reported(place: Place, passed: RunFolder) -> None:
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
    named = Path(done.text.partition("the log is ")[2].splitlines()[0])
    assert named.exists(), "the log that is named is not there"
    place.wait_until_empty(10)


def test_a_pattern_without_matching_tests_is_refused(place: Place) -> None:
    done = place.bsdgate("run", *KEYSTONE, "--tests", "no_such_test_anywhere")
    assert done.code == 2, done
    assert "no_such_test_anywhere" in done.text
    assert "PASS" not in done.text
    place.wait_until_empty(10)


# The change under test ------------------------------------------------------------------------


@pytest.mark.downloads
def test_change_without_a_defect_passes(place: Place, hooked: Hooked) -> None:
    change = f"keystone={hooked.path}"
    done = place.bsdgate("run", "--with", change, *KEYSTONE, "--tests", FEW, *TWO)
    assert done.code == 0, done
    folder = runs(place)[-1]
    assert folder.verdict["result"] == "PASS"
    (change,) = folder.read("manifest.json")["with"]
    assert (change["project"], change["source"]) == ("keystone", str(hooked.path))
    (named,) = folder.verdict["run"]["sources"]
    assert str(hooked.path) in str(named)


# A daemon without Python's fork hooks, so it keeps all descriptors of its parent open.
DAEMON = """
import ctypes, os, time
libc = ctypes.PyDLL(None)
if not libc.fork():
    os.setsid()
    if libc.fork():
        os._exit(0)
    while True:
        time.sleep(600)
"""


@pytest.mark.downloads
def test_a_daemon_of_a_change_is_a_reason_and_does_not_prevent_the_verdict(
    place: Place, hooked: Hooked
) -> None:
    hooked.plant(DAEMON)
    change = f"keystone={hooked.path}"
    done = place.bsdgate("run", "--with", change, *KEYSTONE, "--tests", FEW, *TWO)
    place.wait_until_empty(10)
    assert done.code == 0, done
    assert "\nPASS:" in done.text
    folder = runs(place)[-1]
    left = folder.reasons()["left-behind"]
    assert left["level"] == "note"
    assert "the cloud left processes behind" in left["message"]
    assert not (folder.path / "cloud").exists()
    gate = place.bsdgate("verdict", folder.path, "--policy", "gate", "--json")
    levels = {each["code"]: each["level"] for each in json.loads(gate.text)["reasons"]}
    # For a gate, a run of some tests proves nothing.
    assert (gate.code, levels["left-behind"], levels["narrowed"]) == (3, "fail", "error"), gate
