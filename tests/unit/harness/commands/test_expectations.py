# SPDX-License-Identifier: Apache-2.0
"""The commands that check known failures and propose new ones."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bsdgate.harness.commands import expectations
from bsdgate.harness.errors import UsageError

ENTRY = """\
- test: {test}
  bug: https://bugs.example.org/1
  owner: {owner}
  reason: fake servers have no rescue disk
  since: 2026-01-01
  expires: {expires}
"""


def day(offset: int) -> str:
    return (datetime.now(UTC).date() + timedelta(days=offset)).isoformat()


@pytest.fixture
def entries(tmp_path: Path) -> Callable[..., Path]:
    def write(*entries: dict[str, str]) -> Path:
        file = tmp_path / "a.yaml"
        whole = {"test": "m.C.one", "owner": "jane", "expires": day(90)}
        file.write_text("".join(ENTRY.format(**(whole | one)) for one in entries))
        return file

    return write


def test_good_entries_pass(
    entries: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert expectations.check([entries({}, {"test": "m.C.two"})]) == 0
    assert capsys.readouterr().out == "2 known failures read, no problem\n"


def test_the_known_failures_of_bsdgate_are_good(capsys: pytest.CaptureFixture[str]) -> None:
    assert expectations.check([]) == 0
    assert "no problem" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"expires": "soon"}, ":6:12: expires: 'soon': a day was expected, such as 2027-05-01"),
        ({"owner": ""}, ":1: owner missing: the entry has no effect"),
        ({"expires": day(-1)}, f":1: expired on {day(-1)} (jane): m.C.one"),
    ],
)
def test_every_problem_is_printed_with_its_file_and_entry(
    entries: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    entry: dict[str, str],
    said: str,
) -> None:
    file = entries(entry)
    assert expectations.check([file]) == 2
    out = capsys.readouterr().out
    assert f"{file}{said}" in out
    assert out.endswith("1 problem\n")


def test_an_ignored_file_is_a_problem(
    entries: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = entries({})
    for name in ("b.yml", "c.yaml~", "README.rst", "__init__.py", ".b.yaml.swp", "d.txt"):
        (tmp_path / name).write_text("not read")
    (tmp_path / "nova").mkdir()
    (tmp_path / "__pycache__").mkdir()
    assert expectations.check([tmp_path]) == 2
    *lines, _ = capsys.readouterr().out.splitlines()
    names = ["b.yml", "c.yaml~", "d.txt", "nova"]
    assert [line.split(": ignored: ")[0] for line in lines] == [
        str(tmp_path / name) for name in names
    ]
    assert expectations.check([good]) == 0


def test_a_directory_that_cannot_be_read_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(folder: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert expectations.check([tmp_path]) == 2
    assert f"{tmp_path}: Permission denied" in capsys.readouterr().out


def test_control_characters_in_an_entry_are_not_printed(
    entries: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    wrong, late = {"expires": '"\\e[31msoon"'}, {"expires": day(-1), "owner": '"\\e[31mjim"'}
    file = entries(wrong, late, {"expires": day(2), "owner": '"\\e[31mjoe"'})
    assert expectations.check([file]) == 2
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert out.count(r"\x1b[31m") == 3


def test_a_duplicate_entry_is_a_problem(
    entries: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    file = entries({}, {"owner": "jim"})
    assert expectations.check([file]) == 2
    assert f"{file}:7: has the same test, outcome and scope as {file}:1" in capsys.readouterr().out


def test_entries_that_expire_soon_or_in_years_are_reported(
    entries: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    file = entries({"expires": day(29)}, {"test": "x", "expires": day(800)}, {"test": "y"})
    assert expectations.check([file]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:-1] == [
        f"{file}:1: expires in 29 days (jane): m.C.one (no problem yet)",
        f"{file}:7: expires in 2 years (jane) (no problem yet)",
    ]


def test_lists_are_imported_from_a_checkout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for job in ("FreeBSD-main-aarch64-test", "FreeBSD-stable-15-riscv64-test"):
        folder = tmp_path / "jobs" / job
        folder.mkdir(parents=True)
        (folder / "xfail-list").write_text("lib.libx.a_test:one\n")
    expectations.import_lists([tmp_path])
    printed = capsys.readouterr()
    assert printed.out.count("test: lib/libx/a_test:one") == 2
    assert str(tmp_path) not in printed.out
    assert printed.err == "2 proposals: 2 by xfail-list\n"


@pytest.mark.parametrize("name", ["empty", "absent"])
def test_no_list_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="list"):
        expectations.import_lists([tmp_path / name])


def test_installed_tests_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "test_x.py").write_text(
        "class C:\n    @decorators.unstable_test(bug='7')\n    def test_one(self): pass\n"
    )
    monkeypatch.setattr(expectations, "installed", lambda: {"p.tests": tmp_path})
    expectations.propose()
    printed = capsys.readouterr()
    assert "test: p.tests.test_x.C.test_one" in printed.out
    assert printed.err == "1 proposal: 1 by unstable_test\n"


def test_installed_tests_are_found_without_an_import(monkeypatch: pytest.MonkeyPatch) -> None:
    found = expectations.installed()
    assert found["tempest.api"].is_dir()
    assert (found["bsdgate.tempest_plugin"] / "plugin.py").is_file()


def test_propose_without_tempest_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expectations, "installed", dict)
    with pytest.raises(UsageError, match="not installed"):
        expectations.propose()
