# SPDX-License-Identifier: Apache-2.0
"""Begin and resume a run, without its steps."""

import re
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml
from fakes.listener import FakeListener

from bsdgate.harness import pipeline
from bsdgate.harness.pipeline import Options
from bsdgate.harness.suites import model as suites
from bsdgate.results.errors import BsdgateError

PROFILES = Path(pipeline.__file__).parent / "profiles"


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy the embedded profile to a file of the user's, in a state folder of the test's."""
    monkeypatch.setenv("BSDGATE_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("BSDGATE_CACHE_DIR", str(tmp_path / "cache"))
    made = tmp_path / "mine.yaml"
    made.write_bytes((PROFILES / "embedded.yaml").read_bytes())
    return made


def begin(profile: Path) -> Path:
    run = pipeline.begin(Options(profile=str(profile)), FakeListener())
    run.folder.close()
    return run.folder.path


def set_option(profile: Path, service: str, value: object) -> None:
    """Edit the file as a user does: give a service's debug option a value."""
    content = yaml.safe_load(profile.read_bytes())
    content["services"][service] = {"options": {"DEFAULT": {"debug": value}}}
    profile.write_text(yaml.safe_dump(content))


def test_a_run_is_resumed_with_the_same_settings(profile: Path) -> None:
    folder = begin(profile)
    profile.write_text(f"# the same in other words\n{profile.read_text()}")
    run = pipeline.resume(folder, FakeListener())
    run.folder.close()
    assert run.profile.name == "embedded"


def test_run_is_not_resumed_with_another_profile(profile: Path) -> None:
    set_option(profile, "nova", 1)
    folder = begin(profile)
    set_option(profile, "nova", True)
    with pytest.raises(BsdgateError) as caught:
        pipeline.resume(folder, FakeListener()).folder.close()
    assert caught.value.exit_code == 2
    message = str(caught.value)
    assert message.startswith(f"{folder} was begun with other settings:\n")
    assert f"profile {profile}: services.nova.options.DEFAULT.debug is true, and was 1" in message
    assert "undo the change in the file, or start a new run" in message
    # A refused run is not locked: it can be resumed when the change is undone.
    set_option(profile, "nova", 1)
    pipeline.resume(folder, FakeListener()).folder.close()


def test_run_is_not_resumed_with_another_suite(
    profile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = begin(profile)
    smoke = suites.load("smoke")
    fewer = smoke.model_copy(update={"includes": smoke.includes[:1]})
    monkeypatch.setattr(suites, "load", lambda _: fewer)
    with pytest.raises(BsdgateError, match=r"suite smoke: includes\.1 is null, and was"):
        pipeline.resume(folder, FakeListener()).folder.close()


# Standing clouds ---------------------------------------------------------------------------


@pytest.fixture
def clouds(tmp_path: Path, profile: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a clouds.yaml with an entry that can be used, and two that cannot."""
    del profile
    with warnings.catch_warnings():
        # Libraries of openstacksdk import a module that Python will remove.
        warnings.simplefilter("ignore", DeprecationWarning)
        import openstack  # noqa: F401
    auth = {"auth_url": "http://127.0.0.1:1/v3", "username": "a", "password": "p"}
    good = {"auth": {**auth, "project_name": "a"}, "region_name": "one"}
    entries = {"theirs": good, "unscoped": {"auth": auth}, "empty": {}}
    file = tmp_path / "clouds.yaml"
    file.write_text(yaml.safe_dump({"clouds": entries}))
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(file))
    return file


def accounts(folder: Path, mode: int = 0o600) -> Path:
    file = folder / "accounts.yaml"
    file.write_text(yaml.safe_dump([{"username": "u", "password": "p", "project_name": "t"}]))
    file.chmod(mode)
    return file


def test_a_run_against_a_standing_cloud_has_no_host_checks(clouds: Path, tmp_path: Path) -> None:
    options = Options(cloud="theirs", prefix="mine", accounts=accounts(tmp_path))
    run = pipeline.begin(options, FakeListener())
    run.folder.close()
    assert run.folder.manifest.evidence == ("tempest",)
    again = pipeline.resume(run.folder.path, FakeListener())
    again.folder.close()
    for each in (run, again):
        asked = each.folder.manifest.cloud
        assert asked is not None
        assert (asked.name, asked.prefix) == ("theirs", "mine")
        assert asked.accounts == tmp_path / "accounts.yaml"
        assert each.deployment.changed is False
        assert each.deployment.host_checks() is None


def test_with_a_standing_cloud_the_nodes_of_the_profile_do_not_matter(clouds: Path) -> None:
    run = pipeline.begin(Options(cloud="theirs", profile="morello"), FakeListener())
    run.folder.close()
    assert run.profile.name == "morello"
    with pytest.raises(BsdgateError, match="the source zuul is not supported"):
        pipeline.begin(Options(profile="morello"), FakeListener())


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"cloud": "nowhere"}, r"no cloud 'nowhere' in .*/clouds\.yaml.*known: empty, theirs"),
        ({"cloud": "unscoped"}, "'unscoped' in clouds.yaml has no project_name"),
        ({"cloud": "empty"}, "has no auth_url, username, password, project_name"),
        ({"cloud": "theirs", "changes": ("nova=1",)}, "--with cannot be used with --cloud"),
        ({"cloud": "theirs", "keep": True}, "--keep cannot be used with --cloud"),
        ({"on": "zuul", "profile": "keystone"}, "the name of the node is missing"),
        ({"cloud": "theirs", "prefix": "No"}, "--prefix 'No' is invalid"),
        ({"cloud": "theirs", "suite": "gate"}, r"gate can disturb .*--allow-disruptive"),
        ({"cloud": "theirs", "suite": "nightly"}, "nightly can disturb"),
        ({"cloud": "theirs", "suite": "rally-smoke"}, "rally-smoke is not for a standing cloud"),
        ({"cloud": "theirs", "accounts": Path("/none")}, "cannot read the accounts file /none"),
        ({"prefix": "mine"}, "--prefix can only be used with --cloud"),
        ({"accounts": Path("/none")}, "--accounts can only be used with --cloud"),
        ({"allow_disruptive": True}, "--allow-disruptive can only be used with --cloud"),
    ],
    ids=str,
)
def test_wrong_options_for_a_standing_cloud_are_refused_and_leave_nothing(
    clouds: Path, tmp_path: Path, options: dict[str, Any], text: str
) -> None:
    with pytest.raises(BsdgateError) as caught:
        pipeline.begin(Options(**options), FakeListener())
    assert caught.value.exit_code == 2
    assert re.search(text, str(caught.value), re.DOTALL), str(caught.value)
    assert not (tmp_path / "state" / "runs").exists()


def test_a_disruptive_suite_is_allowed_by_an_option(clouds: Path) -> None:
    options = Options(cloud="theirs", suite="gate", allow_disruptive=True)
    run = pipeline.begin(options, FakeListener())
    run.folder.close()
    assert run.suite.name == "gate"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_accounts_that_others_can_read_are_refused(clouds: Path, tmp_path: Path, mode: int) -> None:
    file = accounts(tmp_path, mode)
    with pytest.raises(BsdgateError, match="other users may read the accounts file") as caught:
        pipeline.begin(Options(cloud="theirs", accounts=file), FakeListener())
    assert f"chmod 600 {file}" in str(caught.value)


def test_a_clouds_yaml_that_cannot_be_read_is_refused(clouds: Path) -> None:
    clouds.write_text("clouds: [")
    with pytest.raises(BsdgateError, match=r"clouds\.yaml: no such file could be read"):
        pipeline.begin(Options(cloud="theirs"), FakeListener())
