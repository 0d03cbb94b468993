# SPDX-License-Identifier: Apache-2.0
"""The user's clouds.yaml: our entry is added and removed, the rest stays."""

import os
import stat
from pathlib import Path

import pytest
import yaml

from bsdgate.harness import clouds_yaml, files
from bsdgate.harness.errors import UsageError
from bsdgate.harness.parameters import NameParameter

ENTRY = {"auth": {"auth_url": "http://127.0.0.1:5000/v3", "password": "secret"}}
THEIRS = """\
# what I must not forget
clouds:
  work:   # the big one
    auth: {auth_url: "https://keystone.example/v3"}
cache:
  expiration_time: 3600
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "openstack" / "clouds.yaml"


@pytest.fixture
def theirs(file: Path) -> Path:
    file.parent.mkdir()
    file.write_text(THEIRS)
    return file


def test_a_missing_file_is_made(file: Path) -> None:
    clouds_yaml.put(file, "bsdgate", ENTRY)
    assert yaml.safe_load(file.read_text()) == {"clouds": {"bsdgate": ENTRY}}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_name_from_the_command_line_can_be_written(file: Path) -> None:
    name = NameParameter().convert("one", None, None)
    clouds_yaml.put(file, name, ENTRY)
    assert yaml.safe_dump({name: yaml.safe_load(file.read_text())["clouds"][name]})


def test_the_text_of_the_user_stays(theirs: Path) -> None:
    clouds_yaml.put(theirs, "bsdgate", ENTRY)
    read = yaml.safe_load(theirs.read_text())
    assert read["clouds"]["bsdgate"] == ENTRY
    assert "# what I must not forget" in theirs.read_text()
    assert "# the big one" in theirs.read_text()
    clouds_yaml.drop(theirs, "bsdgate", ENTRY["auth"]["auth_url"])
    assert theirs.read_text() == THEIRS


def test_an_entry_that_is_no_longer_ours_is_not_dropped(theirs: Path) -> None:
    clouds_yaml.put(theirs, "bsdgate", ENTRY)
    before = theirs.read_text()
    clouds_yaml.drop(theirs, "bsdgate", "http://127.0.0.1:1/v3")
    assert theirs.read_text() == before


def test_an_entry_that_a_killed_cloud_left_is_replaced(theirs: Path) -> None:
    clouds_yaml.put(theirs, "bsdgate", {"auth": {"auth_url": "http://127.0.0.1:1/v3"}})
    clouds_yaml.put(theirs, "bsdgate", ENTRY)
    assert yaml.safe_load(theirs.read_text())["clouds"]["bsdgate"] == ENTRY


def test_an_entry_of_the_users_own_is_never_replaced(theirs: Path) -> None:
    with pytest.raises(UsageError, match="'work' that bsdgate has not"):
        clouds_yaml.put(theirs, "work", ENTRY)
    assert theirs.read_text() == THEIRS


def test_dropping_from_a_missing_file_makes_no_file(file: Path) -> None:
    clouds_yaml.drop(file, "bsdgate", "http://127.0.0.1:1/v3")
    assert not file.exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("clouds: [", r"clouds\.yaml:\d+:\d+: "),
        ("clouds:\n  a: 1\n a: 2\n", r"clouds\.yaml:\d+:\d+: "),
        ("- a\n", "not a mapping"),
        ("clouds: [a]\n", "mapping 'clouds'"),
        ("clouds: {bsdgate: 7}\n", "an entry 'bsdgate'"),
        ("clouds: {bsdgate: {auth: {auth_url: 'http://127.0.0.1:1/v3'}}}\n", "an entry 'bsdgate'"),
        ("clouds: {a: 1}\n---\nclouds: {b: 1}\n", "more than one YAML document"),
        ("clouds:\n  a: 1\nclouds:\n  b: 1\n", "'clouds' occurs more than once"),
        ("? clouds\n: a: 1\n", "'clouds' cannot be changed as text"),
        ("clouds: \x00\n", "clouds.yaml: not YAML"),
    ],
)
def test_a_broken_file_is_refused_and_not_changed(theirs: Path, content: str, said: str) -> None:
    theirs.write_text(content)
    with pytest.raises(UsageError, match=said) as caught:
        clouds_yaml.put(theirs, "bsdgate", ENTRY)
    assert "OS_CLIENT_CONFIG_FILE" in str(caught.value)
    assert theirs.read_text() == content


def test_a_file_that_is_not_utf_8_is_refused_and_not_changed(theirs: Path) -> None:
    theirs.write_bytes("clouds: {ä: 1}\n".encode("latin-1"))
    with pytest.raises(UsageError, match=r"clouds\.yaml: not UTF-8: .* at byte 9"):
        clouds_yaml.put(theirs, "bsdgate", ENTRY)
    assert theirs.read_bytes() == "clouds: {ä: 1}\n".encode("latin-1")


def test_the_target_of_a_link_is_changed(theirs: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.yaml"
    link.symlink_to(theirs)
    clouds_yaml.put(link, "bsdgate", ENTRY)
    assert link.is_symlink()
    assert yaml.safe_load(theirs.read_text())["clouds"]["bsdgate"] == ENTRY


def test_nothing_is_left_beside_the_file(theirs: Path) -> None:
    clouds_yaml.put(theirs, "bsdgate", ENTRY)
    clouds_yaml.drop(theirs, "bsdgate", ENTRY["auth"]["auth_url"])
    assert [each.name for each in theirs.parent.iterdir()] == [theirs.name]


def test_a_file_that_another_process_changes_for_too_long_is_refused(
    theirs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clouds_yaml, "LOCK_SECONDS", 0.05)
    with (
        files.exclusive(theirs.with_name(".clouds.yaml.lock"), 1),
        pytest.raises(UsageError, match=rf"process {os.getpid()} has held .*\.clouds\.yaml\.lock"),
    ):
        clouds_yaml.put(theirs, "bsdgate", ENTRY)
    assert theirs.read_text() == THEIRS


def test_the_file_is_the_one_that_clients_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("OS_CLIENT_CONFIG_FILE", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert clouds_yaml.path() == tmp_path / "openstack" / "clouds.yaml"
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "mine.yaml"))
    assert clouds_yaml.path() == tmp_path / "mine.yaml"
