# SPDX-License-Identifier: Apache-2.0
"""Clouds and runs on a node over ssh: success and failures.

The node is a real sshd with another user. The cache of all tests is copied to it.
"""

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest
import yaml
from functional import sshd as servers
from functional.place import Place
from functional.run_folder import FEW, IDENTITY, TWO, begun, runs
from functional.sshd import Sshd

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def sshd(place: Place) -> Iterator[Sshd]:
    with servers.serving() as sshd:
        if (place.cache / "templates").is_dir():
            shutil.copytree(place.cache / "templates", sshd.home / "cache" / "templates")
            subprocess.run(["chown", "-R", sshd.user, sshd.home / "cache"], check=True)
        yield sshd


@pytest.fixture(scope="module", autouse=True)
def ssh_is_found(place: Place, sshd: Sshd) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", sshd.path)
        yield


def wait_until_idle(sshd: Sshd) -> None:
    """Wait until bsdgate has no process on the node."""
    deadline = time.monotonic() + 60
    while left := sshd.processes():
        assert time.monotonic() < deadline, f"left on the node: {left}"
        psutil.wait_procs(left, 0.5)


def assert_nothing_there(sshd: Sshd) -> None:
    wait_until_idle(sshd)
    left = [*(sshd.state / "nodes").glob("*"), *(sshd.state / "clouds").glob("*")]
    assert left == []


def answer_of(file: Path) -> bytes:
    """Return the answer of the only Keystone in a clouds.yaml."""
    (entry,) = yaml.safe_load(file.read_text())["clouds"].values()
    with urlopen(entry["auth"]["auth_url"], timeout=30) as answer:  # noqa: S310 - it is ours
        found: bytes = answer.read()
    return found


def on(sshd: Sshd) -> tuple[str, str]:
    return ("--on", sshd.url)


# A cloud of up -------------------------------------------------------------------------------


def test_a_cloud_on_a_node_is_used_from_here(place: Place, sshd: Sshd) -> None:
    # It may build the templates.
    up = place.bsdgate("up", *on(sshd), "--timeout-factor", "3")
    assert up.code == 0, up
    assert f"bsdgate down --on {sshd.url}" in up.text
    assert b"version" in answer_of(place.clouds_yaml)
    again = place.bsdgate("up", *on(sshd))
    assert (again.code, f"is up already, on {sshd.url}" in again.text) == (2, True), again
    local = place.bsdgate("up")
    assert (local.code, f"is up already, on {sshd.url}" in local.text) == (2, True), local


def test_its_status_and_logs_are_shown(place: Place, sshd: Sshd) -> None:
    status = place.bsdgate("status", *on(sshd))
    assert status.code == 0, status
    assert status.text.count("serving") == 6
    assert "not forwarded" not in status.text
    logs = place.bsdgate("logs", *on(sshd), "-n", "1", "keystone")
    assert logs.code == 0, logs
    assert "keystone" in logs.text
    unknown = place.bsdgate("logs", *on(sshd), "cinder")
    assert (unknown.code, "no log of cinder" in unknown.text) == (2, True), unknown


def test_it_is_removed_on_both_machines(place: Place, sshd: Sshd) -> None:
    down = place.bsdgate("down", *on(sshd))
    assert down.code == 0, down
    assert_nothing_there(sshd)
    assert yaml.safe_load(place.clouds_yaml.read_text()) in (
        None,
        {},
        {"clouds": {}},
        {"clouds": None},
    )
    assert not list((place.state / "connections").glob("*"))
    place.wait_until_empty()
    again = place.bsdgate("down", *on(sshd))
    assert (again.code, "there is no cloud" in again.text) == (2, True), again


# Runs ----------------------------------------------------------------------------------------


def test_a_run_on_a_node_passes(place: Place, sshd: Sshd) -> None:
    done = place.bsdgate("run", *on(sshd), "--tests", FEW, *TWO)
    assert done.code == 0, done
    folder = runs(place)[-1]
    node = folder.read("node.json")
    assert (node["name"], node["facts"]["url"]) == (f"ssh-{sshd.user}-{servers.HOST}", sshd.url)
    assert folder.read("manifest.json")["on"] == sshd.url
    begin, end = (folder.read(f"node/01-{moment}.json") for moment in ("begin", "end"))
    assert begin["facts"] == end["facts"]
    assert begin["facts"].items() < node["facts"].items()
    assert begin["booted"] < begin["taken"] < end["taken"]
    for each in (begin, end):
        assert abs(each["clock"]["seconds"]) <= each["clock"]["uncertainty"] + 0.01
    checks = folder.asked("01-hostchecks")
    good = {case["id"] for case in folder.verdict["cases"] if case["outcome"] == "success"}
    assert len(checks) > 10
    assert set(checks) <= good
    assert (folder.path / "logs" / "services" / "keystone.log").stat().st_size > 0
    assert_nothing_there(sshd)
    place.wait_until_empty()


def test_a_killed_run_leaves_nothing_and_is_resumed_and_kept_on_the_node(
    place: Place, sshd: Sshd
) -> None:
    started, folder = begun(place, *on(sshd), *IDENTITY, *TWO)
    started.popen.send_signal(signal.SIGKILL)
    started.done()
    wait_until_idle(sshd)
    resumed = place.bsdgate("run", "--resume", folder.path, "--keep")
    assert resumed.code == 0, resumed
    assert folder.verdict["result"] == "PASS"
    assert b"version" in answer_of(folder.path / "clouds.yaml")
    down = place.bsdgate("down", folder.path)
    assert down.code == 0, down
    assert_nothing_there(sshd)
    place.wait_until_empty()


def test_a_lost_connection_is_an_error_of_the_node(place: Place, sshd: Sshd) -> None:
    started, folder = begun(place, *on(sshd), *IDENTITY, *TWO)
    sshd.cut()
    done = started.done()
    assert done.code == 3, done
    verdict = folder.verdict
    assert verdict["result"] == "ERROR"
    lost = [reason for reason in verdict["reasons"] if reason["code"] == "node-lost"]
    assert lost
    assert servers.HOST in lost[0]["message"]
    # bsdgate has connected again and found that the node was not rebooted.
    assert folder.read("node/01-end.json")["name"] == folder.read("node.json")["name"]
    assert "node-rebooted" not in folder.reasons()
    causes = {one["cause"] for one in verdict["dispositions"]}
    assert causes <= {"node"}, verdict["dispositions"]
    assert_nothing_there(sshd)
    place.wait_until_empty()


def test_a_node_that_reboots_during_the_tests_is_an_error(place: Place, sshd: Sshd) -> None:
    started, folder = begun(place, *on(sshd), *IDENTITY, *TWO)
    sshd.pretend_reboot()
    sshd.cut()
    done = started.done()
    assert done.code == 3, done
    assert folder.verdict["result"] == "ERROR"
    reasons = folder.reasons()
    assert {"node-lost", "node-rebooted"} <= reasons.keys()
    assert "evidence-lost" not in reasons
    assert "was rebooted during the run" in reasons["node-rebooted"]["message"]
    assert_nothing_there(sshd)
    place.wait_until_empty()


# Wrong options -------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["up", "down", "status", "logs", "run"])
@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ssh://ann:secret@host", "has a password"),
        ("http://host", "is not the address of a node"),
        ("ssh://-oProxyCommand=x", "is not the address of a node"),
    ],
)
def test_a_url_that_is_not_a_node_is_refused(
    place: Place, command: str, url: str, said: str
) -> None:
    before = len(runs(place))
    done = place.bsdgate(command, "--on", url)
    assert (done.code, said in done.text) == (2, True), done
    assert "secret" not in done.text
    assert len(runs(place)) == before


def test_a_node_that_refuses_is_an_error_with_a_verdict(place: Place, sshd: Sshd) -> None:
    done = place.bsdgate("run", "--on", "ssh://127.0.0.1:9", "--tests", FEW)
    assert (done.code, "Connection refused" in done.text) == (3, True), done
    assert runs(place)[-1].verdict["result"] == "ERROR"
    place.wait_until_empty()


def test_a_command_on_a_node_that_refuses_leaves_nothing(place: Place) -> None:
    for command in ("up", "down", "status", "logs"):
        done = place.bsdgate(command, "--on", "ssh://127.0.0.1:9")
        assert (done.code, "Connection refused" in done.text) == (3, True), done
    assert not list((place.state / "connections").glob("*"))


def test_on_cannot_be_given_with_a_run_directory(place: Place, sshd: Sshd, tmp_path: Path) -> None:
    done = place.bsdgate("down", *on(sshd), tmp_path)
    assert (done.code, "give --on or RUN_DIR" in done.text) == (2, True), done
