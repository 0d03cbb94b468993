# SPDX-License-Identifier: Apache-2.0
"""bsdgate.harness.cloud.spec, and configuration files."""

import configparser
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from bsdgate.harness.cloud import service
from bsdgate.harness.cloud.accounts import ACCOUNTS
from bsdgate.harness.cloud.spec import CloudSpec, Limits, ini

PORTS = {"keystone": 5000, "nova": 8774}


def spec(tmp_path: Path, **options: Any) -> CloudSpec:
    return CloudSpec.generate("here", tmp_path, PORTS, options)


def test_a_saved_cloud_is_read_back(tmp_path: Path) -> None:
    made = CloudSpec.generate(
        "here",
        tmp_path,
        PORTS,
        {"nova": {"DEFAULT": {"debug": True}}},
        limits=Limits(9, 8),
        nodes=[{"name": "board"}],
    )
    made.save()
    assert CloudSpec.load(tmp_path) == made


@pytest.mark.parametrize("name", ["spec.json", "accounts.yaml"])
def test_only_the_user_can_read_the_passwords(tmp_path: Path, name: str) -> None:
    spec(tmp_path).save()
    assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_accounts_file_has_the_passwords_that_the_cloud_gives_its_users(tmp_path: Path) -> None:
    made = spec(tmp_path)
    made.save()
    entries = yaml.safe_load((tmp_path / "accounts.yaml").read_text())
    found = {each["username"]: each["password"] for each in entries}
    assert found == {each.user: made.passwords[each.user] for each in ACCOUNTS}


def test_a_cloud_without_keystone_has_no_accounts(tmp_path: Path) -> None:
    CloudSpec.generate("here", tmp_path, {"ironic": 6385}, {}).save()
    assert not (tmp_path / "accounts.yaml").exists()


def test_each_cloud_has_its_own_passwords(tmp_path: Path) -> None:
    first, second = spec(tmp_path).passwords, spec(tmp_path).passwords
    assert set(first) == {"admin", "keystone", "nova", *(each.user for each in ACCOUNTS)}
    assert not set(first.values()) & set(second.values())
    assert len(set(first.values())) == len(first)


def test_ini_writes_booleans_and_lists_as_oslo_config_reads_them() -> None:
    assert ini({"a": {"yes": True, "many": ["x", 1]}}) == "[a]\nyes = true\nmany = x\nmany = 1\n"


def test_options_of_the_profile_override_ours(tmp_path: Path) -> None:
    cloud = spec(tmp_path, nova={"DEFAULT": {"use_stderr": "changed"}, "new": {"option": 7}})
    path = service.write_config(cloud, "nova", {"DEFAULT": {"host": "here"}})
    read = configparser.ConfigParser()
    read.read(path)
    assert read["DEFAULT"]["use_stderr"] == "changed"
    assert read["DEFAULT"]["host"] == "here"
    assert read["new"]["option"] == "7"


def test_options_of_one_service_do_not_reach_another(tmp_path: Path) -> None:
    cloud = spec(tmp_path, nova={"new": {"option": 7}})
    assert "option = 7" not in service.write_config(cloud, "keystone", {}).read_text()
