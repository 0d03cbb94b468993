# SPDX-License-Identifier: Apache-2.0
"""The time limits of a profile, and the factor that multiplies them."""

import sys
from pathlib import Path

import pytest
from unit.harness.manifests import manifest

from bsdgate.harness import pipeline
from bsdgate.harness.cli import main
from bsdgate.harness.errors import ConfigurationError
from bsdgate.harness.identity import Settings
from bsdgate.harness.profiles import load
from bsdgate.harness.profiles.model import Profile, Timeouts
from bsdgate.harness.runners.base import Site
from bsdgate.harness.runners.tempest import TempestRunner
from bsdgate.harness.suites import model as suites

EMBEDDED = Path(load.__file__).parent / "embedded.yaml"


def slow() -> Profile:
    return load.load("embedded", 10)


def test_every_limit_is_multiplied() -> None:
    usual = load.load("embedded").limits.model_dump()
    assert slow().limits.model_dump() == {
        name: value if name == "factor" else 10 * value for name, value in usual.items()
    }
    assert slow().limits.scaled() == slow().limits


def test_the_profile_can_have_a_factor(tmp_path: Path) -> None:
    path = tmp_path / "slow.yaml"
    path.write_text(EMBEDDED.read_text().replace("  start: 300", "  start: 300\n  factor: 4"))
    assert load.load(str(path)).limits.start == 1200
    assert load.load(str(path), 2).limits.start == 600
    path.write_text(EMBEDDED.read_text().replace("  start: 300", "  start: 300\n  factor: 0"))
    with pytest.raises(ConfigurationError, match=r"timeouts\.factor: 0: .* greater than 0"):
        load.load(str(path))


def test_limits_of_tempest_are_multiplied_and_nothing_else() -> None:
    usual, longer = load.load("embedded").overrides(), slow().overrides()
    assert {name for name in usual if usual[name] != longer[name]} == {
        "compute.build_timeout",
        "network.build_timeout",
    }
    assert longer["compute.build_timeout"] == "600"


def test_the_runner_gets_multiplied_limits(tmp_path: Path) -> None:
    here = Site(tmp_path, tmp_path, tmp_path / "python", tmp_path / "clouds.yaml", "one")
    runner = TempestRunner.make(here, slow(), suites.load("smoke"), 1)
    assert (runner.configure_timeout, runner.test_timeout) == (1200, 3000)


def test_a_resumed_run_keeps_its_factor() -> None:
    begun = manifest(profile_settings=Settings.of(slow()))
    resumed = load.load(begun.profile, pipeline.factor_of(begun))
    assert resumed.limits == slow().limits
    begun.refuse_other_settings(Path("run"), resumed, suites.load("smoke"))


@pytest.mark.parametrize("factor", ["0", "-1", "nan", "inf", "1001", "fast"])
@pytest.mark.parametrize("verb", ["up", "run"])
def test_another_value_than_a_factor_is_refused(
    verb: str,
    factor: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["bsdgate", verb])
    monkeypatch.setenv("BSDGATE_TIMEOUT_FACTOR", factor)
    assert main() == 2
    text = f"{factor!r} is not a factor; give a number above 0, at most 1000"
    assert text in capsys.readouterr().err


def test_the_defaults_are_those_of_a_usual_node() -> None:
    assert Timeouts().scaled() == Timeouts()
