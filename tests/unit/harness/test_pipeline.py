# SPDX-License-Identifier: Apache-2.0
"""What a run is before its steps: begun with its settings, and resumed with the same only."""

from pathlib import Path

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


def test_run_is_resumed_with_the_settings_that_it_was_begun_with(profile: Path) -> None:
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
    # What was refused holds no lock, and can be resumed when the change is undone.
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
