# SPDX-License-Identifier: Apache-2.0
"""The plan: what a machine has and lacks."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from unit.harness.nodes.bootstrap.reports import freebsd, installed, linux, python

from bsdgate.harness.nodes.bootstrap import packages, pkg, plan
from bsdgate.harness.nodes.bootstrap.plan import Needs, State
from bsdgate.harness.nodes.bootstrap.probe import Report
from bsdgate.harness.profiles import releases

RELEASE = "2026.2"
INSTALL = "env ASSUME_ALWAYS_YES=yes LOCK_RETRIES=600 pkg install -y py311-psutil"
KEYSTONE = Needs(RELEASE, ("keystone",))
ALL = Needs(RELEASE, ("keystone", "placement", "glance", "neutron", "nova", "ironic"))


def states(report: Report, needs: Needs = KEYSTONE) -> dict[str, State]:
    return {item.name: item.state for item in plan.make(report, needs).items}


def test_a_new_freebsd_machine_lacks_everything() -> None:
    found = plan.make(freebsd(), ALL)
    assert not found.ready
    assert found.content is None
    assert [item.package for item in found.missing] == [
        "python311",
        "py311-sqlite3",
        "py311-cryptography",
        "py311-cffi",
        "py311-bcrypt",
        "py311-rpds-py",
        "py311-psutil",
        "py311-greenlet",
        "py311-setproctitle",
        "py311-pydantic2",
        "py311-pydantic-core",
        "py311-pynacl",
        "py311-lxml",
    ]


def test_a_machine_with_all_packages_is_ready() -> None:
    found = plan.make(freebsd(pythons=(python(),)), ALL)
    assert found.ready
    assert set(states(freebsd(pythons=(python(),)), ALL).values()) == {State.THERE}


def test_only_nova_needs_its_packages_and_lxml_is_optional() -> None:
    assert "PyNaCl" not in states(freebsd())
    without = {name: value for name, value in installed().items() if name != "lxml"}
    found = plan.make(freebsd(pythons=(python(without),)), ALL)
    assert [item.name for item in found.missing] == ["lxml"]
    assert found.ready


def test_a_version_outside_of_the_range_is_wrong() -> None:
    found = plan.make(freebsd(pythons=(python(installed() | {"cryptography": "3.4.8"}),)), ALL)
    assert [(item.name, item.version, item.versions) for item in found.wrong] == [
        ("cryptography", "3.4.8", ">=44,<51")
    ]
    assert not found.ready


def test_pydantic_is_from_the_same_source_as_its_core() -> None:
    found = plan.make(freebsd(pythons=(python(),)), ALL)
    assert found.content is not None
    assert not {"pydantic", "pydantic-core"} & found.content.names


def test_a_change_needs_the_programs_that_build_it() -> None:
    needs = Needs(RELEASE, ("keystone",), change=True)
    report = freebsd(pythons=(python(),), commands={"git": "/usr/local/bin/git"})
    found = plan.make(report, needs)
    assert [item.name for item in found.missing] == ["uv"]
    assert found.ready


def test_the_python_with_the_packages_is_used() -> None:
    newer = python({}, version="3.12.9", path="/usr/local/bin/python3.12")
    found = plan.make(freebsd(pythons=(newer, python())), KEYSTONE)
    assert found.python == python()


def test_a_python_for_which_there_are_no_packages_is_not_used() -> None:
    newer = python({}, version="3.12.9", path="/usr/local/bin/python3.12")
    found = plan.make(freebsd(pythons=(newer,)), KEYSTONE)
    assert (found.python, found.missing[0].package) == (None, "python311")


def test_an_old_python_is_named() -> None:
    found = plan.make(freebsd(old_python="3.9 /usr/local/bin/python3.9"), KEYSTONE)
    item = found.items[0]
    assert (item.name, item.state, item.version) == ("Python", State.MISSING, "3.9")


def test_without_pkg_the_next_step_is_another_image() -> None:
    without = {name: value for name, value in installed().items() if name != "psutil"}
    found = plan.make(freebsd(pythons=(python(without),), pkg=None), KEYSTONE)
    package = "py311-psutil"
    step = f"use a machine or an image that has pkg, or these packages: {package}"
    assert found.next_step() == step


@pytest.mark.parametrize(
    ("root", "step"),
    [
        ("root", f"run on the node: `{INSTALL}`"),
        (
            "doas",
            f"run on the node: `doas -n {INSTALL}`",
        ),
        (
            "su",
            f"run on the node: `su -m root -c '{INSTALL}'`",
        ),
        (
            "none",
            f"run as root on the node: `{INSTALL}`",
        ),
    ],
)
def test_the_command_is_printed_as_the_user_can_run_it(root: str, step: str) -> None:
    without = {name: value for name, value in installed().items() if name != "psutil"}
    found = plan.make(freebsd(pythons=(python(without),), root=root), KEYSTONE)
    assert found.next_step() == step


@pytest.mark.parametrize(
    ("release", "ignored"),
    [("15.0-RELEASE-p9", True), ("15.1-RELEASE", False), ("16.0-CURRENT", False)],
)
def test_pkg_ignores_the_version_of_a_system_past_its_end_of_life(
    release: str, ignored: bool
) -> None:
    command = pkg.install(freebsd(release=release), ["uv"], date(2026, 11, 29))
    assert ("IGNORE_OSVERSION=yes" in command) is ignored


def test_a_machine_like_this_one_gets_compiled_packages_too() -> None:
    found = plan.make(linux(), ALL)
    assert set(states(linux(), ALL).values()) == {State.THERE, State.COPIED, State.MISSING}
    # The one package that is not in a distribution.
    assert [item.name for item in found.missing] == ["sqlite3"]


def test_another_linux_gets_a_command_for_pip() -> None:
    (own,) = linux().pythons
    older = replace(own, libc="glibc-2.5")
    found = plan.make(linux(pythons=(older,)), KEYSTONE)
    assert "cryptography" in {item.name for item in found.missing}
    step = found.next_step()
    assert "install sqlite3 by the package manager" in step
    assert "python3 -m pip install --user 'cryptography>=44,<51'" in step


def test_the_pins_of_the_release_are_in_the_ranges() -> None:
    pins = releases.pins(RELEASE)
    for each in packages.SYSTEM:
        if each.name != packages.SQLITE:
            assert each.accepts(str(pins[each.distribution])), each


def test_the_documentation_has_the_ranges() -> None:
    page = Path(__file__).parents[5] / "doc" / "source" / "user" / "nodes.rst"
    text = page.read_text()
    for each in packages.SYSTEM:
        versions = f"``{each.versions}``" if each.versions else "any"
        assert f"   * - ``{each.package('311')}``\n     - {versions}\n" in text
