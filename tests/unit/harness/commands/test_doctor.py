# SPDX-License-Identifier: Apache-2.0
"""The command doctor, on a node without a machine."""

from dataclasses import dataclass

import pytest
from rich.console import Console
from unit.harness.nodes.bootstrap.reports import freebsd, installed, linux, python

from bsdgate.harness.commands import doctor
from bsdgate.harness.deployments import table
from bsdgate.harness.nodes.bootstrap import plan
from bsdgate.harness.nodes.bootstrap.plan import Needs, Plan
from bsdgate.harness.nodes.bootstrap.probe import Report
from bsdgate.harness.profiles.load import load

URL = "ssh://ann@freebsd.example.org"


@dataclass
class FakeNode:
    """A node with a report."""

    report: Report
    same: bool = False
    closed: bool = False

    def reach(self) -> None: ...

    def has_same_bsdgate(self) -> bool:
        return self.same

    def look(self, needs: Needs) -> Plan:
        return plan.make(self.report, needs)

    def close(self) -> None:
        self.closed = True


def show(
    node: FakeNode, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str]:
    monkeypatch.setattr(table, "remote_node", lambda *_, **__: node)
    code = doctor.show(URL, load("keystone"), Console())
    assert node.closed
    return code, capsys.readouterr().out


def test_a_new_machine_lacks_everything(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = show(FakeNode(freebsd()), monkeypatch, capsys)
    assert code == 3
    lines = text.splitlines()
    assert lines[0].startswith("FreeBSD 15.1-RELEASE-p2 amd64, 1024 MiB of memory, 4000 MiB free")
    assert lines[1] == "user freebsd (root by su), pkg stub"
    assert lines[2].startswith("repository FreeBSD-ports: reachable, pkg+https://pkg.example.org")
    assert ["cryptography", "missing", ">=44,<51", "py311-cryptography"] in map(str.split, lines)
    assert "missing: run on the node: `su -m root -c 'env ASSUME_ALWAYS_YES=yes" in text


def test_a_machine_with_the_packages_is_ready(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report = freebsd(pythons=(python(),))
    code, text = show(FakeNode(report), monkeypatch, capsys)
    assert (code, text.splitlines()[-1]) == (
        0,
        f"ready: {URL} gets its environment with the first run",
    )
    content = plan.make(report, Needs("2026.2", ("keystone",))).content
    assert content is not None
    code, text = show(
        FakeNode(freebsd(pythons=(python(),), environments=(content.name,))), monkeypatch, capsys
    )
    assert (code, text.splitlines()[-1]) == (0, f"ready: {URL} has its environment")


@pytest.mark.parametrize("same", [True, False])
def test_a_machine_with_bsdgate_needs_no_packages(
    same: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _ = show(FakeNode(freebsd(), same), monkeypatch, capsys)
    assert code == (0 if same else 3)


def test_a_wrong_version_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old = freebsd(pythons=(python(installed() | {"psutil": "5.9.8"}),), root="none")
    code, text = show(FakeNode(old), monkeypatch, capsys)
    assert code == 3
    assert "psutil 5.9.8 on the node is not in the range >=7.1,<8" in text
    assert "user freebsd (cannot become root)" in text


def test_linux_has_no_packages_of_freebsd(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, text = show(FakeNode(linux()), monkeypatch, capsys)
    assert "py311-" not in text
    assert "cryptography   copied" in text


def test_this_machine_has_the_services_and_lists_its_programs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor.show(None, load("keystone"), Console()) == 0
    text = capsys.readouterr().out
    assert "keystone" in text
    assert "for a node (--on)" in text
    assert text.splitlines()[-1] == "ready: this machine can run profile keystone"

    def version(name: str) -> str:
        return "" if name == "keystone" else "1"

    monkeypatch.setattr(doctor, "_version", version)
    assert doctor.show(None, load("keystone"), Console()) == 3
    text = capsys.readouterr().out
    assert "keystone            missing" in text
    assert "wrong version" in text
