# SPDX-License-Identifier: Apache-2.0
"""The stages of a bootstrap, over a connection to a machine that does not exist."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, cast

import pytest
from unit.harness.nodes.bootstrap.reports import REPOSITORY, freebsd, installed, python

from bsdgate.harness.errors import InfrastructureError
from bsdgate.harness.nodes.base import NodeLostError
from bsdgate.harness.nodes.bootstrap import bootstrap, content, installer, plan
from bsdgate.harness.nodes.bootstrap.bootstrap import Bootstrap
from bsdgate.harness.nodes.bootstrap.plan import Needs
from bsdgate.harness.nodes.bootstrap.probe import Report
from bsdgate.harness.nodes.connection import LOST, Answer

KEYSTONE = Needs("2026.2", ("keystone",))
OK = Answer(0, "", "")


@dataclass
class FakeConnection:
    """Answers calls with these answers, one after the other; records the command lines."""

    log: Path
    answers: Iterator[Answer]
    lines: list[str] = field(default_factory=list)

    def call(self, line: str, seconds: float, source: IO[bytes] | None = None) -> Answer:
        self.lines.append(line)
        if source is not None:
            source.read()
        return next(self.answers)


Made = Callable[..., tuple[Bootstrap, FakeConnection, list[str]]]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    """Return a function that makes a bootstrap of machines with these reports."""

    def pack(self: content.Content, target: IO[bytes]) -> tuple[int, int]:
        target.write(b"packed")
        return 3, 200 << 20

    monkeypatch.setattr(content.Content, "pack", pack)

    def made(
        *found: Report, answers: Sequence[Answer] = (OK, OK), needs: Needs = KEYSTONE
    ) -> tuple[Bootstrap, FakeConnection, list[str]]:
        reports = iter(found)
        monkeypatch.setattr(Bootstrap, "_probe", lambda _: next(reports))
        lines: list[str] = []
        connection = FakeConnection(tmp_path / "ssh.log", iter(answers))
        return Bootstrap(cast("Any", connection), "node", needs, lines.append), connection, lines

    return made


def ready(**fields: Any) -> Report:
    return freebsd(pkg="2.4.2", pythons=(python(),), **fields)


def test_a_new_machine_gets_its_packages_and_then_the_environment(make: Made) -> None:
    made, connection, lines = make(freebsd(), ready())
    found = made.make()
    assert (
        "pkg\\ install\\ -y\\ python311\\ py311-sqlite3\\ py311-cryptography" in connection.lines[0]
    )
    assert "su\\ -m\\ root\\ -c" in connection.lines[0]
    assert "/usr/local/bin/python3.11 -I -c" in connection.lines[1]
    assert found.source == "repository FreeBSD-ports"
    assert found.python.startswith("/home/freebsd/.cache/bsdgate/node/")
    assert "as root by su" in "\n".join(lines)


def test_an_image_with_the_packages_needs_no_repository(make: Made) -> None:
    made, connection, lines = make(ready(repositories=(), root="none"))
    found = made.make()
    assert found.source == "node"
    assert len(connection.lines) == 1
    assert "bootstrap: already there: Python 3.11.12, sqlite3 3.46.0" in "\n".join(lines)


def test_the_second_bootstrap_does_nothing_and_reports_one_line(make: Made) -> None:
    wanted = plan.make(ready(), KEYSTONE).content
    assert wanted is not None
    made, connection, lines = make(ready(environments=(wanted.name,)))
    found = made.make()
    assert connection.lines == []
    assert lines[1:] == [f"bootstrap: nothing to do, {found.python} is up to date"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"root": "none"}, "the user freebsd cannot become root by doas, sudo or su"),
        ({"repositories": ()}, "no package repository is configured"),
        (
            {"repositories": (replace(REPOSITORY, reachable=False),)},
            r"does not reach its package repositories \(pkg\+https://pkg.example.org/quarterly\)",
        ),
        ({"pkg": None, "system": "Linux"}, "installs packages of the system only on FreeBSD"),
        ({"old_python": "3.9 /usr/bin/python3.9", "root": "none"}, "lacks Python 3.9, sqlite3"),
    ],
)
def test_missing_packages_are_listed_with_the_command(
    make: Made, fields: dict[str, Any], reason: str
) -> None:
    made, connection, _ = make(freebsd(**fields))
    with pytest.raises(InfrastructureError, match=reason) as error:
        made.make()
    assert error.value.exit_code == 3
    assert "install" in (error.value.hint or "")
    assert connection.lines == []


def test_missing_packages_without_pkg_need_another_image(make: Made) -> None:
    made, connection, _ = make(freebsd(pkg=None))
    with pytest.raises(InfrastructureError, match="the node has no pkg") as error:
        made.make()
    assert error.value.exit_code == 3
    assert "an image that has pkg, or these packages: " in (error.value.hint or "")
    assert connection.lines == []


@pytest.mark.parametrize(
    ("lines", "hint"),
    [
        ("  | pkg: No packages available to install matching 'x'", "does not have this package"),
        ("  | /: write failed, No space left on device", "make room on the node"),
        ("  | pkg: No address record", "check that the node reaches its package repository"),
    ],
)
def test_a_failure_of_pkg_has_the_stage_and_the_next_step(
    make: Made, lines: str, hint: str
) -> None:
    made, _, _ = make(freebsd(), answers=[Answer(1, "", lines)])
    with pytest.raises(InfrastructureError, match="stage packages: .*ended with status 1") as error:
        made.make()
    assert lines in error.value.message
    assert hint in (error.value.hint or "")


def test_a_version_outside_of_the_range_is_an_error(make: Made) -> None:
    old = freebsd(pythons=(python(installed() | {"bcrypt": "3.2.2"}),))
    made, connection, _ = make(old)
    with pytest.raises(InfrastructureError, match=r"bcrypt 3\.2\.2 is not in the range >=4\.3,<6"):
        made.make()
    assert connection.lines == []


def test_a_missing_optional_package_is_only_reported(make: Made) -> None:
    needs = Needs("2026.2", ("keystone",), change=True)
    report = ready(commands={"git": "/usr/local/bin/git"})
    made, _, lines = make(report, answers=[Answer(1, "", "no uv"), OK], needs=needs)
    made.make()
    assert "uv is only for building a change (--with)" in "\n".join(lines)


def test_a_full_disk_is_found_before_the_copy(make: Made) -> None:
    made, connection, _ = make(ready(disk=250))
    with pytest.raises(InfrastructureError, match="has 250 MiB .* needs 300 MiB"):
        made.make()
    assert connection.lines == []


@pytest.mark.parametrize("lost", [0, 1])
def test_a_lost_connection_has_the_stage(make: Made, lost: int) -> None:
    answers = [*[OK] * lost, Answer(LOST, "", "  | Connection reset")]
    made, _, _ = make(freebsd(), ready(), answers=answers)
    stage = ("packages", "environment")[lost]
    with pytest.raises(NodeLostError, match=f"stage {stage}: the connection was lost"):
        made.make()


@pytest.mark.parametrize("status", [installer.NO_ROOM, installer.BROKEN, None])
def test_a_failure_of_the_installer_has_the_stage(make: Made, status: int | None) -> None:
    made, _, _ = make(ready(), answers=[Answer(status, "", "  | why")])
    with pytest.raises(InfrastructureError, match="stage environment: the installer") as error:
        made.make()
    assert "why" in error.value.message


def test_a_shell_that_prints_is_an_error_of_the_probe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = FakeConnection(tmp_path / "log", iter([Answer(0, "welcome\nbsdgate-probe 1", "")]))
    made = Bootstrap(cast("Any", connection), "node", KEYSTONE, print)
    with pytest.raises(InfrastructureError, match="stage probe: /bin/sh printed 'welcome' first"):
        made.look()
    assert connection.lines[0].startswith("exec /bin/sh -s sqlite3 cryptography")


def test_an_environment_with_the_same_bsdgate_is_found(make: Made) -> None:
    own = f"{content.own_prefix()}4567"
    assert make(freebsd(environments=("0-1", own)))[0].find() == bootstrap.python_of(freebsd(), own)
    assert make(freebsd(environments=("0-1",)))[0].find() is None
