# SPDX-License-Identifier: Apache-2.0
"""A node without bsdgate and Python gets them, over a real sshd.

The programs of FreeBSD are simulated (simulated_freebsd.py): the user has no Python, bash and sudo.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from functional import sshd as servers
from functional.place import Place, wait_for
from functional.simulated_freebsd import NOTICE, SHORT, Simulation
from functional.sshd import Sshd
from functional.test_ssh_run import answer_of, assert_nothing_there

from bsdgate.harness.nodes.bootstrap import probe

pytestmark = pytest.mark.timeout(400)

KEYSTONE = ("--profile", "keystone")


@pytest.fixture(scope="module")
def sshd(place: Place) -> Iterator[Sshd]:
    with servers.serving() as sshd, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", sshd.path)
        yield sshd


@pytest.fixture(scope="module")
def freebsd(sshd: Sshd) -> Simulation:
    """Return the simulated programs, which are the only ones on the PATH of the user."""
    simulation = Simulation(sshd.root / "freebsd")
    subprocess.run(["chown", "-R", sshd.user, simulation.root], check=True)
    sshd.configure(
        PATH=str(simulation.bin),
        REPOS_DIR=str(simulation.repositories),
        PYTHONPATH="",
    )
    return simulation


@pytest.fixture(scope="module", autouse=True)
def nothing_is_there(sshd: Sshd, freebsd: Simulation) -> None:
    """Skip the tests if Python is in a directory that every user has on the PATH."""
    with probe.SCRIPT.open() as script:
        argv = [str(sshd.root / "bin" / "ssh"), servers.HOST, "-l", sshd.user, "/bin/sh", "-s"]
        found = subprocess.run(argv, stdin=script, capture_output=True, text=True, check=True)
    report = probe.parse(found.stdout)
    assert (report.pkg, report.root, len(report.reachable)) == ("stub", "doas", 1)
    if report.pythons or report.old_python:
        pytest.skip("there is a Python in /usr/local/bin or /usr/sbin")


def environments(sshd: Sshd) -> list[Path]:
    return sorted((sshd.home / "cache" / "node").glob("*"))


def drafts(sshd: Sshd) -> list[Path]:
    return sorted((sshd.home / "cache" / "node").glob(".new-*"))


def test_doctor_lists_what_is_missing_and_changes_nothing(
    place: Place, sshd: Sshd, freebsd: Simulation
) -> None:
    done = place.bsdgate("doctor", "--on", sshd.url, *KEYSTONE)
    assert done.code == 3, done
    assert f"user {sshd.user} (root by doas), pkg stub" in done.text
    place_of = "pkg+https://pkg.example.org/FreeBSD:15:amd64/quarterly"
    assert f"repository FreeBSD-ports: reachable, {place_of}" in done.text
    assert "base_release" not in done.text
    assert "missing: run on the node: `doas -n env ASSUME_ALWAYS_YES=yes " in done.text
    assert "pkg install -y python311 py311-sqlite3 py311-cryptography" in done.text
    assert (freebsd.calls, environments(sshd)) == ([], [])


def test_an_unreachable_repository_is_an_error_with_the_command(
    place: Place, sshd: Sshd, freebsd: Simulation
) -> None:
    freebsd.configure(reachable=False)
    done = place.bsdgate("up", "--on", sshd.url, *KEYSTONE)
    freebsd.configure()
    assert done.code == 3, done
    assert "lacks Python, sqlite3, cryptography" in done.text
    assert "does not reach its package repositories (pkg+https://pkg.example.org" in done.text
    assert "pkg install -y python311" in done.text
    assert (freebsd.calls, environments(sshd)) == ([], [])


def test_a_failure_of_pkg_is_an_error_of_its_stage(
    place: Place, sshd: Sshd, freebsd: Simulation
) -> None:
    freebsd.configure(missing=f"py{SHORT}-rpds-py")
    done = place.bsdgate("up", "--on", sshd.url, *KEYSTONE)
    freebsd.configure()
    assert done.code == 3, done
    assert "stage packages: `doas -n env ASSUME_ALWAYS_YES=yes " in done.text
    assert NOTICE in done.text
    assert f"No packages available to install matching 'py{SHORT}-rpds-py'" in done.text
    assert "the repository does not have this package" in done.text
    assert environments(sshd) == []


def test_a_cut_connection_leaves_nothing_half_made(
    place: Place, sshd: Sshd, freebsd: Simulation
) -> None:
    started = place.start("bsdgate", "up", "--on", sshd.url, *KEYSTONE)
    wait_for(lambda: drafts(sshd) or started.popen.poll() is not None, "an environment", 120)
    sshd.cut()
    done = started.done()
    assert done.code == 3, done
    assert "stage environment: the connection was lost" in done.text
    wait_for(lambda: not environments(sshd), "the removal of the draft")
    place.wait_until_empty()


def test_a_cloud_starts_on_a_node_that_had_nothing(
    place: Place, sshd: Sshd, freebsd: Simulation
) -> None:
    # It may build the templates.
    up = place.bsdgate("up", "--on", sshd.url, *KEYSTONE, "--timeout-factor", "3")
    assert up.code == 0, up
    assert "bootstrap: already there: Python 3." in up.text
    assert [each.suffix for each in environments(sshd)] == [""]
    assert b"version" in answer_of(place.clouds_yaml)
    status = place.bsdgate("status", "--on", sshd.url)
    assert (status.code, "serving" in status.text) == (0, True), status
    down = place.bsdgate("down", "--on", sshd.url)
    assert down.code == 0, down
    assert_nothing_there(sshd)


def test_a_second_bootstrap_does_nothing(place: Place, sshd: Sshd, freebsd: Simulation) -> None:
    before, calls = environments(sshd), len(freebsd.calls)
    doctor = place.bsdgate("doctor", "--on", sshd.url, *KEYSTONE)
    assert (doctor.code, "has its environment" in doctor.text) == (0, True), doctor
    done = place.bsdgate("run", "--on", sshd.url, *KEYSTONE, "--tests", "test_api_discovery")
    assert done.code == 0, done
    assert "bootstrap: nothing to do, " in done.text
    assert "packing" not in done.text
    assert (environments(sshd), len(freebsd.calls)) == (before, calls)
    (node,) = (place.state / "runs").glob("*/node.json")
    facts = json.loads(node.read_text())["facts"]
    assert facts["packages_from"] == "node"
    assert float(facts["timeout_factor"]) >= 1
    assert facts["timeout_factor_source"].startswith("measured: imports take ")
    assert_nothing_there(sshd)
