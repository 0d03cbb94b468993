# SPDX-License-Identifier: Apache-2.0
"""Clouds with some of the six services: Ironic alone, and Keystone with Ironic."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from functional.place import Place, UpCloud
from functional.run_folder import runs
from functional.sdk import connected, names
from unit.harness.deployments.test_contract import DeploymentContract, start

from bsdgate.harness.cloud.service import hash_password
from bsdgate.harness.deployments.base import Deployment
from bsdgate.harness.deployments.embedded import Embedded
from bsdgate.harness.nodes.local import LocalNode
from bsdgate.harness.profiles.load import load

PROFILES = Path(__file__).parent / "profiles"
STANDALONE = Path(__file__).parents[2] / "harness" / "profiles" / "ironic-standalone.yaml"

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def alone(place: Place) -> Iterator[UpCloud]:
    """Return a cloud with only Ironic."""
    up = place.bsdgate("up", "--profile", "ironic-standalone", "--name", "alone")
    assert up.code == 0, up
    assert "baremetal node list" in up.text
    yield UpCloud(place, "alone")
    down = place.bsdgate("down", "--name", "alone")
    assert down.code == 0, down
    assert "alone" not in place.clouds_yaml.read_text()


def test_ironic_alone_is_used_through_clouds_yaml(alone: UpCloud) -> None:
    assert list(alone.ports) == ["ironic"]
    listed = alone.place.start("openstack", "baremetal", "node", "list", OS_CLOUD="alone").done()
    assert listed.code == 0, listed
    assert "| fake " in listed.text
    with connected(alone) as client:
        (node,) = client.baremetal.nodes(details=True)
        assert (node.name, node.provision_state) == ("fake", "available")
        assert (node.driver, node.resource_class) == ("fake-hardware", "baremetal")
        assert node.properties == {"cpu_arch": "x86_64"}


def test_commands_use_the_services_of_the_cloud(alone: UpCloud) -> None:
    status = alone.do("status")
    assert status.code == 0, status
    assert "ironic" in status.text
    assert "nova" not in status.text
    logs = alone.do("logs", "-n", "1")
    assert logs.code == 0, logs
    refused = alone.do("restart", "nova")
    assert refused.code == 2, refused
    assert "the cloud has no service 'nova'\n  -> choose one of ironic" in refused.text
    port = alone.place.bsdgate("up", "--profile", "ironic-standalone", "--port", "nova=1234")
    assert port.code == 2, port
    assert "--port is given for nova, but profile ironic-standalone does not have it" in port.text


def test_ironic_alone_is_restarted_and_reset(alone: UpCloud) -> None:
    with connected(alone) as client:
        client.baremetal.create_node(name="mine", driver="fake-hardware")
        assert alone.do("restart", "ironic").code == 0
        assert names(client.baremetal.nodes()) == {"fake", "mine"}
        assert alone.do("reset").code == 0
        assert names(client.baremetal.nodes()) == {"fake"}


def test_a_run_of_ironic_alone_passes(place: Place) -> None:
    # Not gate: after the end of life of the release, that policy makes the run an ERROR.
    done = place.bsdgate("run", "--profile", "ironic-standalone", "--policy", "nightly")
    assert done.code == 0, done
    assert "PASS" in done.text
    folder = runs(place)[-1]
    assert folder.read("manifest.json")["evidence"] == ["hostchecks", "apichecks"]
    assert len(folder.asked("02-apichecks")) == 6


def test_a_suite_of_tempest_is_refused_before_a_process_starts(place: Place) -> None:
    before = set((place.state / "runs").glob("*"))
    done = place.bsdgate("run", "--profile", "ironic-standalone", "--suite", "smoke")
    assert done.code == 2, done
    assert "the runner tempest of suite smoke needs keystone" in done.text
    assert "-> leave out --suite: the suite of this profile is ironic-api" in done.text
    assert set((place.state / "runs").glob("*")) == before


def test_a_wrong_password_is_an_error(place: Place) -> None:
    """The password in clouds.yaml is wrong."""
    users = place.root / "users.conf"
    users.write_text(f"admin:{hash_password('another')}\n")
    content = yaml.safe_load(STANDALONE.read_bytes())
    options = {"DEFAULT": {"http_basic_auth_user_file": str(users)}}
    content["services"]["ironic"] = {"options": options}
    profile = place.root / "other-password.yaml"
    profile.write_text(yaml.safe_dump(content))
    done = place.bsdgate("run", "--profile", profile)
    assert done.code == 3, done
    assert "/v1/nodes answered 401" in done.text
    assert "ERROR" in done.text


def test_keystone_and_ironic_pass_the_smoke_tests_of_both(place: Place) -> None:
    done = place.bsdgate("run", "--profile", PROFILES / "two-services.yaml")
    assert done.code == 0, done
    assert "PASS" in done.text
    cases = runs(place)[-1].verdict["cases"]
    ran = {each["id"] for each in cases if each["outcome"] == "success"}
    assert any(each.startswith("tempest.api.identity.") for each in ran)
    assert any(each.startswith("ironic_tempest_plugin.") for each in ran)
    skipped = [each["id"] for each in cases if each["outcome"] == "skip"]
    assert not [each for each in skipped if ".identity." in each or "ironic" in each]


def test_morello_is_refused_with_the_name_of_its_driver(place: Place) -> None:
    for verb in ("up", "run"):
        done = place.bsdgate(verb, "--profile", "morello")
        assert done.code == 2, done
        assert "Ironic's driver pdu is missing on this machine (allowed: fake)" in done.text
        assert "-> choose one that can: --profile embedded or " in done.text


@contextlib.contextmanager
def embedded(place: Place, folder: Path) -> Iterator[Deployment]:
    """Use a cloud of one service on this machine as a deployment, with files in ``folder``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BSDGATE_CACHE_DIR", str(place.cache))
        patch.setenv("BSDGATE_STATE_DIR", str(folder / "state"))
        node = LocalNode(folder / "run")
        node.connect()
        yield Embedded(node, load("keystone"))
        node.close()


class TestEmbeddedContract(DeploymentContract):
    """The contract of deployments, with a real cloud."""

    @pytest.fixture
    def deployment(self, place: Place, tmp_path: Path) -> Iterator[Deployment]:
        with embedded(place, tmp_path) as deployment:
            yield deployment

    @pytest.fixture(scope="class")
    def started(
        self, place: Place, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[Deployment]:
        with embedded(place, tmp_path_factory.mktemp("started")) as deployment:
            yield start(deployment)
