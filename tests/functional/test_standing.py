# SPDX-License-Identifier: Apache-2.0
"""Runs against a standing cloud with 50 resources of other users."""

import contextlib
import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from functional import foreign
from functional.place import Done, Place, Started, UpCloud, wait_for
from functional.run_folder import MANY, RunFolder, runs
from functional.sdk import connected
from unit.harness.deployments.test_contract import DeploymentContract
from unit.harness.deployments.test_contract import start as start_deployment

from bsdgate.harness.deployments import connection, inventory
from bsdgate.harness.deployments.base import Deployment
from bsdgate.harness.deployments.ownership import REQUESTS, Mark
from bsdgate.harness.deployments.standing import Standing
from bsdgate.harness.manifest import AskedCloud
from bsdgate.harness.profiles.load import load
from bsdgate.harness.request_log import RequestLog

# openstacksdk emits warnings about itself.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(900)]

SOME = (
    r"tempest\.api\.identity\.admin\.v3\.test_(domains|roles|users)"
    r"|tempest\.api\.image\.v2\.test_images\.Basic"
    r"|tempest\.api\.network\.test_(networks\.NetworksTest|ports\.PortsTestJSON.*test_list_ports\[)"
    r"|tempest\.api\.compute\.(flavors|servers\.test_create_server\.ServersTestJSON)"
    r"|ironic_tempest_plugin.*test_(nodes|ports|chassis)\."
)
"""Tests of each service in the suite smoke. The other tests of networks take minutes."""
NETWORKS = r"tempest\.api\.network\.test_(networks|security_groups)\."
PASSWORD = "secret"
PREFIX = "ours"
SERVICES = ("identity", "image", "network", "compute", "baremetal")


@pytest.fixture(scope="module")
def theirs(place: Place) -> UpCloud:
    """Start the cloud of other users."""
    done = place.bsdgate("up", "--name", "theirs")
    assert done.code == 0, done
    return UpCloud(place, "theirs")


@pytest.fixture(scope="module")
def client(theirs: UpCloud) -> Iterator[Any]:
    with connected(theirs) as client:
        yield client


@pytest.fixture(scope="module")
def paths(client: Any) -> list[tuple[str, str]]:
    """Make 50 or more resources in the cloud."""
    made = foreign.fill(client)
    assert len(made) >= 50
    return made


@pytest.fixture(scope="module")
def entry(place: Place, client: Any, paths: list[tuple[str, str]]) -> Path:
    """Make an admin user for the runs, and a clouds.yaml with an entry."""
    del paths
    identity = client.identity
    user = identity.create_user(name="ci", password=PASSWORD, domain_id="default")
    project = identity.find_project("admin")
    role = identity.find_role("admin")
    identity.assign_project_role_to_user(project, user, role)
    client.session.put(
        f"/system/users/{user.id}/roles/{role.id}", endpoint_filter={"service_type": "identity"}
    )
    clouds = yaml.safe_load(place.clouds_yaml.read_text())["clouds"]
    auth = {**clouds["theirs"]["auth"], "username": "ci", "password": PASSWORD}
    file = place.root / "ci.yaml"
    file.write_text(yaml.safe_dump({"clouds": {"lent": {**clouds["theirs"], "auth": auth}}}))
    return file


@pytest.fixture
def is_unaltered(client: Any, entry: Path, paths: list[tuple[str, str]]) -> Callable[[], bool]:
    """Return a function: whether all foreign objects are, byte for byte, as before the test."""
    del entry
    before = json.dumps(foreign.contents(client, paths))
    return lambda: json.dumps(foreign.contents(client, paths)) == before


@pytest.fixture
def ours(theirs: UpCloud, monkeypatch: pytest.MonkeyPatch) -> Callable[[], set[str]]:
    """Return a function: the names in the cloud that begin with the prefix."""

    def names() -> set[str]:
        monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(theirs.place.clouds_yaml))
        found = inventory.take(connection.CloudConnection("theirs"), SERVICES).values()
        assert len(found) > 50
        return {str(each) for each in found if each.name.startswith(PREFIX)}

    return names


def start(place: Place, entry: Path, tests: str, *more: str) -> Started:
    arguments = ("run", "--cloud", "lent", "--prefix", PREFIX, "--tests", tests, *more)
    return place.start("bsdgate", *arguments, OS_CLIENT_CONFIG_FILE=str(entry))


def run(place: Place, entry: Path, tests: str, *more: str) -> tuple[Done, RunFolder]:
    # On a busy machine the tests take minutes.
    done = start(place, entry, tests, *more).done(600)
    return done, runs(place)[-1]


def begin_with_resources(
    place: Place, entry: Path, known: int, tests: str = MANY
) -> tuple[Started, RunFolder]:
    """Start a run; return when its tests have made a resource."""
    started = start(place, entry, tests)

    def found() -> RunFolder | None:
        new = runs(place)[known:]
        made = [each for each in new if (each.path / "tempest" / "tempest.log").exists()]
        return made[0] if made else None

    folder = wait_for(found, "the tests have begun", timeout=200)
    assert folder is not None
    log = folder.path / REQUESTS
    wait_for(lambda: len(log.read_bytes().splitlines()) > 20, "the tests have made something")
    return started, folder


def test_a_run_passes_and_resources_of_others_are_identical(
    place: Place, entry: Path, is_unaltered: Callable[[], bool], ours: Callable[[], set[str]]
) -> None:
    done, folder = run(place, entry, SOME)
    assert done.code == 0, done
    assert folder.verdict["result"] == "PASS"
    assert {"foreign-altered", "left-behind"}.isdisjoint(folder.reasons())
    assert is_unaltered()
    assert ours() == set()
    assert folder.read("audit.json") == {"differences": [], "left": []}
    assert "hostchecks" not in json.dumps(folder.attempts)
    place_left = {path.name for path in place.state.iterdir()}
    assert place_left <= {"clouds", "history.sqlite", "runs", "standing"}


def test_revoked_credentials_are_an_error_and_the_next_run_cleans_up(
    place: Place,
    client: Any,
    entry: Path,
    is_unaltered: Callable[[], bool],
    ours: Callable[[], set[str]],
) -> None:
    started, folder = begin_with_resources(place, entry, len(runs(place)))
    user = client.identity.find_user("ci")
    client.identity.update_user(user, is_enabled=False)
    done = started.done()
    client.identity.update_user(user, is_enabled=True)
    assert (done.code, folder.verdict["result"]) == (3, "ERROR"), done
    assert "refuses the credentials" in folder.reasons()["cloud-lost"]["message"]
    assert ours() != set()
    done, _ = run(place, entry, r"test_api_discovery")
    assert done.code == 0, done
    assert f"removed the resources that the run {folder.path.name} had left" in done.text
    assert ours() == set()
    assert is_unaltered()


def test_the_next_run_removes_resources_of_a_killed_run(
    place: Place, entry: Path, ours: Callable[[], set[str]]
) -> None:
    started, folder = begin_with_resources(place, entry, len(runs(place)))
    started.popen.send_signal(signal.SIGKILL)
    started.done()
    mark = Mark.read(folder.path)
    assert mark is not None
    assert not mark.clean
    wait_for(lambda: not place.processes(folder.path), "no test runs any more")
    assert ours() != set()
    done, _ = run(place, entry, r"test_api_discovery")
    assert done.code == 0, done
    assert ours() == set()


def test_a_change_by_others_is_a_note_and_by_a_request_of_the_run_a_failure(
    place: Place, client: Any, entry: Path
) -> None:
    network = client.network.create_network(name="changed-by-people")
    group = client.network.create_security_group(name="deleted-by-the-run")
    started, folder = begin_with_resources(place, entry, len(runs(place)), NETWORKS)
    client.network.update_network(network, description="another")
    url = f"{client.network.get_endpoint()}/v2.0/security-groups/{group.id}"
    # Like the process of a test.
    RequestLog(folder.path / REQUESTS).begin("DELETE", url, None)
    client.network.delete_security_group(group)
    done = started.done()
    assert (done.code, folder.verdict["result"]) == (1, "FAIL"), done
    reasons = folder.reasons()
    assert reasons["foreign-altered"]["level"] == "fail"
    assert group.id in reasons["foreign-altered"]["message"]
    assert reasons["foreign-changed"]["level"] == "note"
    assert network.id in reasons["foreign-changed"]["message"]
    client.network.delete_network(network)


def test_a_cloud_that_cannot_be_used_is_refused_and_nothing_is_left(
    place: Place, client: Any, entry: Path, ours: Callable[[], set[str]]
) -> None:
    clouds = yaml.safe_load(entry.read_text())["clouds"]["lent"]
    client.identity.create_user(name="plain", password=PASSWORD, domain_id="default")
    project = client.identity.find_project("admin")
    user, role = client.identity.find_user("plain"), client.identity.find_role("member")
    client.identity.assign_project_role_to_user(project, user, role)
    auth = clouds["auth"]
    entries = {
        "plain": {**clouds, "auth": {**auth, "username": "plain"}},
        "wrong": {**clouds, "auth": {**auth, "password": "wrong"}},
        "nowhere": {**clouds, "auth": {**auth, "auth_url": "http://127.0.0.1:9/v3"}},
    }
    file = place.root / "others.yaml"
    file.write_text(yaml.safe_dump({"clouds": entries}))
    for name, code, text in (
        ("plain", 2, "is not an admin"),
        ("wrong", 3, "refuses the credentials"),
        ("nowhere", 3, "does not answer"),
        ("absent", 2, "there is no cloud 'absent'"),
    ):
        done = place.bsdgate("run", "--cloud", name, OS_CLIENT_CONFIG_FILE=str(file))
        assert done.code == code, done
        assert text in done.text
        assert "\n  -> " in done.text
        assert "Traceback" not in done.text
    assert ours() == set()


@contextlib.contextmanager
def standing(theirs: UpCloud, folder: Path) -> Iterator[Deployment]:
    """Use the cloud as a deployment, with a state directory and a run directory in ``folder``."""
    run = folder / "runs" / "one"
    run.mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OS_CLIENT_CONFIG_FILE", str(theirs.place.clouds_yaml))
        patch.setenv("BSDGATE_STATE_DIR", str(folder / "state"))
        made = Standing(
            connection.CloudConnection("theirs"),
            connection.entry("theirs"),
            AskedCloud(name="theirs", prefix="contract"),
            load("embedded"),
            run,
            "0" * 32,
        )
        yield made
        made.close()


class TestStandingContract(DeploymentContract):
    """The contract of deployments, with a real cloud."""

    @pytest.fixture
    def deployment(self, theirs: UpCloud, tmp_path: Path) -> Iterator[Deployment]:
        with standing(theirs, tmp_path) as deployment:
            yield deployment

    @pytest.fixture(scope="class")
    def started(
        self, theirs: UpCloud, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[Deployment]:
        with standing(theirs, tmp_path_factory.mktemp("started")) as deployment:
            yield start_deployment(deployment)
