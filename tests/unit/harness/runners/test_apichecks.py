# SPDX-License-Identifier: Apache-2.0
"""The suite of a profile, the services that runners need, the checks through openstacksdk."""

import sys
from pathlib import Path

import pytest
import yaml
from fakes.listener import FakeListener

from bsdgate.harness import folders, pipeline
from bsdgate.harness.cloud.ports import bind
from bsdgate.harness.errors import InfrastructureError, UsageError
from bsdgate.harness.pipeline import Options
from bsdgate.harness.profiles import load
from bsdgate.harness.runners import table
from bsdgate.harness.runners.apichecks import ApiChecks
from bsdgate.harness.runners.base import Site
from bsdgate.harness.suites import model as suites

CHECKS = [
    "test_ironic_api.py::test_driver_is_enabled",
    "test_ironic_api.py::test_node_is_enrolled_and_listed",
    "test_ironic_api.py::test_node_becomes_available",
    "test_ironic_api.py::test_power_is_switched",
    "test_ironic_api.py::test_node_is_deleted",
    "test_ironic_api.py::test_wrong_password_is_refused",
]


@pytest.fixture
def runner(tmp_path: Path) -> ApiChecks:
    """Return the runner for a cloud that does not answer."""
    (free,) = bind({"ironic": 0}).values()
    port = free.getsockname()[1]
    free.close()
    auth = {"endpoint": f"http://127.0.0.1:{port}", "username": "admin", "password": "x"}
    entry = {"auth_type": "http_basic", "auth": auth, "region_name": "RegionOne"}
    clouds_yaml = tmp_path / "clouds.yaml"
    clouds_yaml.write_text(yaml.safe_dump({"clouds": {"one": entry}}))
    folders.make(tmp_path / "logs")
    python = Path(sys.executable)
    site = Site(tmp_path, tmp_path / "logs", python, clouds_yaml, "one")
    made = table.make(site, load.load("ironic-standalone"), suites.load("ironic-api"), 1)
    assert isinstance(made, ApiChecks)
    return made


def test_the_suite_has_all_checks(runner: ApiChecks) -> None:
    ids = runner.list_ids()
    assert ids == CHECKS
    assert list(suites.select(suites.load("ironic-api"), ids).ids) == CHECKS
    assert runner.asked(ids[:2]).decode().splitlines() == CHECKS[:2]


def test_a_cloud_that_refuses_the_user_is_an_error(runner: ApiChecks) -> None:
    with pytest.raises(InfrastructureError, match="does not accept the user and password") as error:
        runner.prepare()
    assert "clouds.yaml" in error.value.message
    assert error.value.hint is not None
    assert error.value.hint.endswith("access.log")


@pytest.mark.parametrize("suite", ["smoke", "gate", "nightly", "rally-smoke"])
def test_a_suite_that_needs_keystone_is_refused_without_it(suite: str) -> None:
    profile = load.load("ironic-standalone")
    with pytest.raises(UsageError, match="needs keystone, but profile ironic-standalone has only"):
        table.check_services(suites.load(suite), profile)
    table.check_services(suites.load("ironic-api"), profile)


def test_the_hint_names_no_suite_that_cannot_run() -> None:
    profile = load.load("ironic-standalone").model_copy(update={"suite": "smoke"})
    with pytest.raises(UsageError) as caught:
        table.check_services(suites.load("smoke"), profile)
    assert caught.value.hint == "choose another suite or profile"


def test_checks_run_one_at_a_time() -> None:
    suite = suites.load("ironic-api")
    assert table.concurrency(suite, None, None, 4) == 1
    with pytest.raises(UsageError, match="runs one check at a time, not 2"):
        table.concurrency(suite, None, 2, 4)


def test_a_run_has_the_suite_of_its_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BSDGATE_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("BSDGATE_CACHE_DIR", str(tmp_path / "cache"))
    run = pipeline.begin(Options(profile="ironic-standalone"), FakeListener())
    run.folder.close()
    assert run.suite.name == "ironic-api"
    assert run.folder.manifest.evidence == ("hostchecks", "apichecks")
    with pytest.raises(UsageError, match="the runner tempest of suite smoke needs"):
        pipeline.begin(Options(profile="ironic-standalone", suite="smoke"), FakeListener())
    assert len(list((tmp_path / "state" / "runs").glob("*/manifest.json"))) == 1
