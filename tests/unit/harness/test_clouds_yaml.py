# SPDX-License-Identifier: Apache-2.0
"""The user's clouds.yaml: our entry comes and goes, the rest stays."""

import stat

import pytest
import yaml

from bsdgate.harness import clouds_yaml
from bsdgate.harness.errors import UsageError

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
def file(tmp_path):
    return tmp_path / "openstack" / "clouds.yaml"


@pytest.fixture
def theirs(file):
    file.parent.mkdir()
    file.write_text(THEIRS)
    return file


def test_a_file_is_made_where_there_is_none(file):
    clouds_yaml.put(file, "bsdgate", ENTRY)
    assert yaml.safe_load(file.read_text()) == {"clouds": {"bsdgate": ENTRY}}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_what_the_user_wrote_stays(theirs):
    clouds_yaml.put(theirs, "bsdgate", ENTRY)
    read = yaml.safe_load(theirs.read_text())
    assert read["clouds"]["bsdgate"] == ENTRY
    assert "# what I must not forget" in theirs.read_text()
    assert "# the big one" in theirs.read_text()
    clouds_yaml.drop(theirs, "bsdgate", ENTRY["auth"]["auth_url"])
    assert yaml.safe_load(theirs.read_text()) == yaml.safe_load(THEIRS)


def test_an_entry_that_is_no_longer_ours_is_not_dropped(theirs):
    clouds_yaml.put(theirs, "bsdgate", ENTRY)
    before = theirs.read_text()
    clouds_yaml.drop(theirs, "bsdgate", "http://127.0.0.1:1/v3")
    assert theirs.read_text() == before


def test_an_entry_that_a_killed_cloud_left_is_replaced(theirs):
    clouds_yaml.put(theirs, "bsdgate", {"auth": {"auth_url": "http://127.0.0.1:1/v3"}})
    clouds_yaml.put(theirs, "bsdgate", ENTRY)
    assert yaml.safe_load(theirs.read_text())["clouds"]["bsdgate"] == ENTRY


def test_an_entry_of_the_users_own_is_never_replaced(theirs):
    with pytest.raises(UsageError, match="'work' that is not"):
        clouds_yaml.put(theirs, "work", ENTRY)
    assert theirs.read_text() == THEIRS


def test_dropping_what_is_not_there_makes_no_file(file):
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
    ],
)
def test_a_broken_file_is_refused_and_left_alone(theirs, content, said):
    theirs.write_text(content)
    with pytest.raises(UsageError, match=said) as caught:
        clouds_yaml.put(theirs, "bsdgate", ENTRY)
    assert "OS_CLIENT_CONFIG_FILE" in str(caught.value)
    assert theirs.read_text() == content


def test_the_file_is_the_one_that_clients_read(monkeypatch, tmp_path):
    monkeypatch.delenv("OS_CLIENT_CONFIG_FILE", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert clouds_yaml.path() == tmp_path / "openstack" / "clouds.yaml"
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "mine.yaml"))
    assert clouds_yaml.path() == tmp_path / "mine.yaml"
