# SPDX-License-Identifier: Apache-2.0
"""bsdgate.harness.runners.tempest: the arguments and files of the process that runs the tests."""

import importlib.util
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from bsdgate.harness import folders
from bsdgate.harness.errors import UsageError
from bsdgate.harness.profiles import load as profiles
from bsdgate.harness.runners import list_cache
from bsdgate.harness.runners.base import Site
from bsdgate.harness.runners.split import Split
from bsdgate.harness.runners.tempest import TempestRunner, Workspace
from bsdgate.harness.suites import model as suites


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Return a workspace with a Python that only shows its arguments and environment."""
    programs = tmp_path / "bin"
    programs.mkdir()
    python = programs / "python"
    python.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\nexec env\n")
    python.chmod(0o755)
    logs = tmp_path / "logs"
    folders.make(logs)
    made = Workspace(tmp_path / "tempest", programs, tmp_path / "clouds.yaml", logs)
    made.create()
    return made


def output(workspace: Workspace, test_timeout: float, shares: Split | None = None) -> list[str]:
    written = b""
    with workspace.running(shares or [["m.A.one"]], test_timeout) as running:
        while chunk := running.read():
            written += chunk
    return written.decode().splitlines()


@pytest.mark.parametrize(("seconds", "given"), [(300.0, "300"), (0.2, "1"), (4.5, "5")])
def test_tempest_gets_the_time_limit_of_a_test_in_whole_seconds(
    workspace: Workspace, seconds: float, given: str
) -> None:
    """Zero would mean no limit."""
    assert f"OS_TEST_TIMEOUT={given}" in output(workspace, seconds)


def test_tempest_gets_the_tests_and_the_share_of_each_worker(workspace: Workspace) -> None:
    shares = [["m.A.one[id-1]", "m.B.one"], ["m.C.one"]]
    shown = output(workspace, 1, shares)
    asked = Path(shown[shown.index("--load-list") + 1]).read_text().splitlines()
    workers = yaml.safe_load(Path(shown[shown.index("--worker-file") + 1]).read_text())
    assert asked == ["m.A.one[id-1]", "m.B.one", "m.C.one"]
    assert len(workers) == 2
    assert shown[shown.index("--concurrency") + 1] == "2"


def test_tempest_reads_the_variable_of_the_time_limit() -> None:
    found = importlib.util.find_spec("tempest")
    assert found is not None
    assert found.origin is not None
    source = Path(found.origin).with_name("test.py").read_text()
    assert "os.environ.get('OS_TEST_TIMEOUT'" in source


def test_locks_of_accounts_from_an_earlier_run_are_removed(
    workspace: Workspace,
) -> None:
    output(workspace, 1)
    left = workspace.path / "tempest_lock" / "an-account"
    left.touch()
    output(workspace, 1)
    assert not left.exists()
    assert left.parent.is_dir()


# Accounts -------------------------------------------------------------------------------------


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return the options for tempest.conf, without making it."""
    kept: dict[str, str] = {}

    def configure(
        _self: Workspace, _cloud: str, given: Mapping[str, str], _limit: float, _more: Sequence[str]
    ) -> None:
        kept.update(given)

    monkeypatch.setattr(Workspace, "configure", configure)
    return kept


def runner(tmp_path: Path, suite: str, accounts: Path | None, concurrency: int) -> TempestRunner:
    (tmp_path / "logs").mkdir()
    nothing = tmp_path / "nothing"
    site = Site(tmp_path, tmp_path / "logs", nothing, nothing, "cloud", accounts)
    return TempestRunner.make(site, profiles.load("embedded"), suites.load(suite), concurrency)


@pytest.fixture
def accounts(tmp_path: Path) -> Path:
    """Return an accounts file that all users can read, in any order."""
    member = {"username": "member", "password": "m", "project_name": "p", "roles": ["member"]}
    alt: dict[str, Any] = {"username": "alt", "password": "a", "project_name": "q"}
    path = tmp_path / "theirs.yaml"
    path.write_text(yaml.safe_dump([member, alt]))
    return path


def test_accounts_are_copied_to_a_private_file_that_tempest_conf_names(
    tmp_path: Path, accounts: Path, options: dict[str, str]
) -> None:
    runner(tmp_path, "smoke", accounts, 1).prepare()
    copy = Path(options["auth.test_accounts_file"])
    assert options["auth.use_dynamic_credentials"] == "False"
    assert copy.parent == tmp_path / "tempest" / "etc"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert [each["username"] for each in yaml.safe_load(copy.read_text())] == ["alt", "member"]


def test_tempest_does_not_log_the_passwords_of_accounts(
    tmp_path: Path, accounts: Path, options: dict[str, str]
) -> None:
    runner(tmp_path, "smoke", accounts, 1).prepare()
    levels = options["DEFAULT.default_log_levels"].split(",")
    assert "tempest.lib.common.preprov_creds=INFO" in levels


@pytest.mark.parametrize(("suite", "there"), [("gate", True), ("smoke", False)])
def test_credentials_are_dynamic_by_the_suite_or_without_accounts(
    tmp_path: Path, accounts: Path, options: dict[str, str], suite: str, there: bool
) -> None:
    runner(tmp_path, suite, accounts if there else None, 1).prepare()
    assert options["auth.use_dynamic_credentials"] == "True"
    assert "auth.test_accounts_file" not in options


def test_too_few_accounts_are_found_before_tempest_conf_is_made(
    tmp_path: Path, accounts: Path, options: dict[str, str]
) -> None:
    with pytest.raises(UsageError, match="has 1 accounts"):
        runner(tmp_path, "smoke", accounts, 2).prepare()
    assert options == {}


def test_tests_are_listed_once_for_two_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[Workspace] = []

    def list_tests(workspace: Workspace, _timeout: float) -> list[str]:
        listed.append(workspace)
        return ["m.A.one"]

    monkeypatch.setenv("BSDGATE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(list_cache, "fingerprint", lambda *_: "k")
    monkeypatch.setattr(Workspace, "list_tests", list_tests)
    made = runner(tmp_path, "smoke", None, 1)
    assert [made.list_ids(), made.list_ids()] == [["m.A.one"]] * 2
    assert len(listed) == 1
    assert [each.name for each in (tmp_path / "cache" / "lists").iterdir()] == ["k.json"]
