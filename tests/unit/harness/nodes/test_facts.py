# SPDX-License-Identifier: Apache-2.0
import json
import platform
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bsdgate.harness.nodes import facts
from bsdgate.results.expectations import scope
from bsdgate.results.model import Run

INSTALLED = """\
bash 5.3.9
erlang-nova 1.0
py311-ironic 38.0.0
py311-keystone 30.0.0_1
py311-nova 34.0.0_2,1
py311-oslo.config 11.0.0
py311-python-novaclient 18.9.0
py311-requests 2.32.5
"""
NOTES = """\
bash FreeBSD_version 1501000
bash ports_top_git_hash 0123456789
py311-keystone built_by poudriere-git-3.4.2
py311-keystone ports_top_git_hash 3f2a1b0c9d
py311-nova ports_top_checkout_unclean no
py311-nova ports_top_git_hash 3f2a1b0c9d
py311-nova remark two
nova-lines
"""


def scoped() -> dict[str, str]:
    """Return the facts by which known failures can be limited."""
    return {
        key: value
        for key, value in facts.local().items()
        if key in {"architecture", "freebsd"} or key.startswith("ports")
    }


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Simulate a machine: its system, release and architecture, with an empty PATH."""

    def pose(system: str, release: str, machine: str) -> None:
        monkeypatch.setattr(platform, "system", lambda: system)
        monkeypatch.setattr(platform, "release", lambda: release)
        monkeypatch.setattr(platform, "machine", lambda: machine)

    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return pose


@pytest.fixture
def pkg(machine: Callable[..., None], tmp_path: Path) -> Callable[..., None]:
    """Simulate FreeBSD with a pkg that runs a shell line with $2 (query), $INSTALLED, $NOTES."""

    def make(line: str) -> None:
        texts = f"INSTALLED='{INSTALLED}'\nNOTES='{NOTES}'\n"
        program = tmp_path / "bin" / "pkg"
        program.write_text(f"#!/bin/sh\n{texts}{line}\n")
        program.chmod(0o700)
        machine("FreeBSD", "15.1-RELEASE", "amd64")

    return make


@pytest.mark.parametrize(
    ("system", "release", "architecture", "expected"),
    [
        ("FreeBSD", "15.1-RELEASE-p2", "arm64", {"architecture": "arm64", "freebsd": "15.1"}),
        ("FreeBSD", "16.0-CURRENT", "amd64", {"architecture": "amd64", "freebsd": "16.0"}),
        ("Linux", "6.1.0-18-amd64", "x86_64", {"architecture": "amd64"}),
        ("Linux", "6.1.0", "aarch64", {"architecture": "arm64"}),
    ],
)
def test_facts_use_the_names_of_freebsd(
    machine: Callable[..., None],
    system: str,
    release: str,
    architecture: str,
    expected: dict[str, str],
) -> None:
    machine(system, release, architecture)
    assert scoped() == expected


@pytest.mark.parametrize("release", ["15.1-STABLE", "15.1-STABLE-p1"])
def test_the_branch_of_freebsd_is_a_fact(machine: Callable[..., None], release: str) -> None:
    machine("FreeBSD", release, "amd64")
    assert facts.local()["freebsd_branch"] == "STABLE"
    machine("Linux", "6.1.0-18-amd64", "x86_64")
    assert "freebsd_branch" not in facts.local()


VERSIONS = {
    "freebsd-version": (
        'case "$1" in -k) echo 15.1-RELEASE;; -r) exit 1;; -u) echo 15.1-RELEASE-p2;; esac'
    ),
    "uname": 'case "$1" in -K) echo 1501000;; -U) echo 1501001;; esac',
}


def test_the_versions_of_kernel_and_userland_are_facts(
    machine: Callable[..., None], tmp_path: Path
) -> None:
    machine("FreeBSD", "15.1-RELEASE", "amd64")
    for name, line in VERSIONS.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / "bin" / name).chmod(0o700)
    found = facts.local()
    assert found["freebsd_kernel"] == "15.1-RELEASE"
    assert "freebsd_running_kernel" not in found
    assert found["freebsd_userland"] == "15.1-RELEASE-p2"
    assert (found["osreldate"], found["userland_osreldate"]) == ("1501000", "1501001")


def test_facts_have_the_system_the_interpreter_and_the_offset_of_local_time(
    machine: Callable[..., None],
) -> None:
    machine("FreeBSD", "15.1-RELEASE", "amd64")
    found = facts.local()
    assert found["system"] == "FreeBSD 15.1-RELEASE"
    assert found["freebsd_branch"] == "RELEASE"
    assert found["python"] == platform.python_version()
    assert datetime.strptime(found["utc_offset"], "%z").utcoffset() is not None


@pytest.mark.parametrize(("zone", "offset"), [("UTC", "+0000"), ("<ABC>-3:30", "+0330")])
def test_the_facts_of_another_machine_are_printed(
    monkeypatch: pytest.MonkeyPatch, zone: str, offset: str
) -> None:
    monkeypatch.setenv("TZ", zone)
    printed = subprocess.run(
        [sys.executable, "-m", "bsdgate.harness.nodes.facts"], check=True, capture_output=True
    )
    assert json.loads(printed.stdout)["utc_offset"] == offset


ASKED = 'case "$2" in "%n %v") printf %s "$INSTALLED";; "%n %At %Av") printf %s "$NOTES";; esac'


def test_ports_are_reported_by_name_version_and_commit(pkg: Callable[..., None]) -> None:
    pkg(ASKED)
    expected = {key: value for key, value in facts.local().items() if key.startswith("ports")}
    assert expected == {
        "ports": "3f2a1b0c9d",
        "ports.erlang-nova": "1.0",
        "ports.py311-ironic": "38.0.0",
        "ports.py311-keystone": "30.0.0_1",
        "ports.py311-nova": "34.0.0_2,1",
        "ports.py311-oslo.config": "11.0.0",
        "ports.py311-python-novaclient": "18.9.0",
    }


@pytest.mark.parametrize(
    ("want", "fits"),
    [
        ("py311-nova<34.0.0_3,1", True),
        ("py311-nova<34.0.0_2,1", False),
        ("py311-keystone>=30.0.0_1", True),
        ("3f2a1b0", True),
        ("0123456", False),
    ],
)
def test_scopes_with_ports_fit_the_facts_of_the_node(
    pkg: Callable[..., None], want: str, fits: bool
) -> None:
    pkg(ASKED)
    run = Run("1", datetime(2026, 11, 25, tzinfo=UTC), facts=facts.local())
    assert scope.Scope(ports=(want,)).fits(scope.facts(run)) == {"ports": fits}


def test_packages_of_several_trees_have_no_commit(pkg: Callable[..., None]) -> None:
    pkg(f'NOTES="$NOTES\npy311-ironic ports_top_git_hash 9999999999\n"\n{ASKED}')
    assert "ports" not in facts.local()


def test_a_pkg_that_fails_adds_no_facts(pkg: Callable[..., None]) -> None:
    pkg('printf %s "$INSTALLED"; exit 1')
    assert scoped() == {"architecture": "amd64", "freebsd": "15.1"}


def test_pkg_of_another_system_is_not_called(
    pkg: Callable[..., None], machine: Callable[..., None]
) -> None:
    pkg(ASKED)
    machine("Linux", "6.1.0", "x86_64")
    assert scoped() == {"architecture": "amd64"}
