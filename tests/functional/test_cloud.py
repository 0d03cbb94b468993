# SPDX-License-Identifier: Apache-2.0
"""The embedded cloud as its user has it: brought up, used, hurt, put back, and ended.

Clouds take ten seconds to come up, so the tests share two, and stand in the order in which a
cloud lives: those that end one come last.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from functional.place import SERVICES, Done, Place, UpCloud, free_port, listening, wait_for

# openstacksdk warns of itself.
pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.timeout(180)]

USERS_OWN = """\
# My clouds. Hands off!
clouds:
  work:            # the one that pays
    auth: {auth_url: 'https://work.example.org:5000/v3', username: "me"}
    region_name: R1

  # Left as it is, odd as it is.
  devstack:
    profile: nothing
"""
SOCKET_PATH_MAX = 104
LONG_NAME = "a-cloud-whose-directory-is-longer-than-a-unix-socket-path-may-be"


@pytest.fixture(scope="module")
def first_up(place: Place, cache: Path) -> Done:
    """Bring up the first cloud, from an empty cache, for a user who has other clouds already."""
    shutil.rmtree(cache / "templates", ignore_errors=True)
    place.clouds_yaml.parent.mkdir(parents=True)
    elsewhere = place.root / "dotfiles.yaml"
    elsewhere.write_text(USERS_OWN)
    place.clouds_yaml.symlink_to(elsewhere)
    return place.bsdgate("up", "--name", "one")


@pytest.fixture(scope="module")
def one(place: Place, first_up: Done) -> UpCloud:
    assert first_up.code == 0, first_up
    return UpCloud(place, "one")


@pytest.fixture(scope="module")
def second_up(place: Place, one: UpCloud) -> Done:
    """Bring up another cloud beside the first, from the templates that are there by now."""
    return place.bsdgate("up", "--name", LONG_NAME)


@pytest.fixture(scope="module")
def two(place: Place, second_up: Done) -> UpCloud:
    assert second_up.code == 0, second_up
    return UpCloud(place, LONG_NAME)


@pytest.fixture(scope="module")
def client(one: UpCloud) -> Iterator[Any]:
    with connected(one) as client:
        yield client


@contextlib.contextmanager
def connected(cloud: UpCloud) -> Iterator[Any]:
    """Connect to a cloud by what its user has: a name, and clouds.yaml."""
    import openstack

    files = [str(cloud.place.clouds_yaml)]
    config = openstack.config.OpenStackConfig(config_files=files, load_envvars=False)
    with openstack.connection.Connection(config=config.get_one(cloud.name)) as connection:
        yield connection


def create_server(client: Any, name: str) -> Any:
    """Create the smallest server there is and return it once it is ACTIVE."""
    image = client.image.find_image("empty", ignore_missing=False)
    flavor = client.compute.find_flavor("m1.nano", ignore_missing=False)
    network = client.network.find_network("private", ignore_missing=False)
    began = time.monotonic()
    server = client.compute.create_server(
        name=name, image_id=image.id, flavor_id=flavor.id, networks=[{"uuid": network.id}]
    )

    def active() -> Any:
        found = client.compute.get_server(server.id)
        assert found.status != "ERROR", found.fault
        return found if found.status == "ACTIVE" else None

    found = wait_for(active, f"server {name} ACTIVE", timeout=30)
    sys.stdout.write(f"{name} is ACTIVE after {time.monotonic() - began:.2f} s\n")
    return found


def names(resources: Any) -> set[str]:
    return {each.name for each in resources}


def seeds(client: Any) -> dict[str, set[str]]:
    """Return the ids of what every new cloud has."""
    return {
        "flavors": {each.id for each in client.compute.flavors()},
        "images": {each.id for each in client.image.images()},
        "networks": {each.id for each in client.network.networks()},
        "routers": {each.id for each in client.network.routers()},
        "users": {each.id for each in client.identity.users()},
        "endpoints": {each.id for each in client.identity.endpoints()},
        "hypervisors": {each.id for each in client.compute.hypervisors()},
    }


def dumped(database: Path) -> Iterator[str]:
    """Yield all statements that would make the database again."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    with contextlib.closing(connection):
        yield from connection.iterdump()


# What up says and leaves ----------------------------------------------------------------------


def test_first_up_makes_the_templates(first_up: Done, one: UpCloud, cache: Path) -> None:
    assert "Building the database templates" in first_up.text
    sys.stdout.write(f"up from an empty cache took {first_up.seconds:.1f} s\n")
    kinds = sorted(each.name.rpartition("-")[0] for each in (cache / "templates").iterdir())
    assert kinds == sorted(["cloud", *(f"schema-{service}" for service in SERVICES)])


def test_up_says_how_to_use_and_to_end_the_cloud(first_up: Done, one: UpCloud) -> None:
    assert "ready" in first_up.text
    assert str(one.directory / "logs") in first_up.text
    assert str(one.place.clouds_yaml) in first_up.text
    assert "OS_CLOUD=one " in first_up.text
    assert "openstack server list" in first_up.text
    assert "bsdgate down --name one" in first_up.text


def test_what_up_says_works_as_it_is(first_up: Done, one: UpCloud) -> None:
    (command,) = (each for each in first_up.text.splitlines() if "OS_CLOUD=" in each)
    done = one.place.start("sh", "-c", f"{command} --format json").done()
    assert (done.code, done.text.strip()) == (0, "[]")


def test_clouds_yaml_keeps_what_the_user_wrote(one: UpCloud) -> None:
    text = one.place.clouds_yaml.read_text()
    entry = text.removeprefix(USERS_OWN)
    assert entry != text, f"the user's lines were changed:\n{text}"
    assert entry.startswith("  one:\n")
    assert one.place.clouds_yaml.is_symlink()
    assert one.place.clouds_yaml.stat().st_mode & 0o777 == 0o600


def test_nothing_lies_where_it_does_not_belong(one: UpCloud) -> None:
    assert one.place.litter() == []


def test_files_are_the_users_alone(one: UpCloud) -> None:
    open_to_others = [
        path
        for path in [one.directory, *one.directory.rglob("*")]
        if path.parent == one.directory and path.stat().st_mode & 0o077
    ]
    assert open_to_others == []


def test_status_shows_every_service(one: UpCloud) -> None:
    status = one.do("status")
    assert status.code == 0, status
    assert "cloud one: ready" in status.text
    for service, port in one.ports.items():
        (row,) = (each for each in status.text.splitlines() if f" {service} " in each)
        assert "serving" in row
        assert f"http://127.0.0.1:{port}" in row
        assert str(one.pid(service)) in row


def test_logs_prints_the_end_of_a_services_log(one: UpCloud) -> None:
    log = one.directory / "logs" / "nova.log"
    printed = one.do("logs", "-n", "3", "nova")
    assert printed.code == 0
    lines = printed.text.splitlines()
    assert len(lines) == 3
    assert set(lines) <= set(log.read_text().splitlines())


def test_logs_follows(one: UpCloud) -> None:
    log = one.directory / "logs" / "nova.log"
    following = one.place.start("bsdgate", "logs", "--name", "one", "-f", "-n", "0", "nova")
    tail = psutil.Process(following.popen.pid)
    wait_for(lambda: any(log.samefile(file.path) for file in tail.open_files()), "tail reads")
    assert one.do("restart", "nova").code == 0
    following.until("compute")
    following.press_ctrl_c()
    assert following.done().code == -signal.SIGINT


def test_log_of_no_service_is_refused(one: UpCloud) -> None:
    refused = one.do("logs", "cinder")
    assert refused.code == 2
    assert "no log of cinder" in refused.text
    assert "keystone" in refused.text


# What the cloud does --------------------------------------------------------------------------


def test_openstack_client_makes_and_removes_a_network(one: UpCloud) -> None:
    def openstack(*words: str) -> Done:
        done = one.place.start("openstack", *words, OS_CLOUD="one").done()
        assert done.code == 0, done
        return done

    made = json.loads(openstack("network", "create", "--format", "json", "mine").text)
    assert (made["name"], made["status"]) == ("mine", "ACTIVE")
    openstack("network", "delete", "mine")


def test_server_goes_active_and_away(client: Any) -> None:
    server = create_server(client, "mine")
    (port,) = client.network.ports(device_id=server.id)
    assert port.status == "ACTIVE"
    client.compute.delete_server(server)
    wait_for(lambda: not client.compute.find_server(server.id), "the server is gone")
    assert list(client.network.ports(device_id=server.id)) == []


def test_node_goes_from_enrolled_to_active_and_away(client: Any) -> None:
    baremetal = client.baremetal
    began = time.monotonic()
    node = baremetal.create_node(driver="fake-hardware", name="mine", resource_class="baremetal")
    assert node.provision_state == "enroll"

    def go(verb: str, state: str) -> None:
        baremetal.set_node_provision_state(node, verb)

        def there() -> bool:
            found = baremetal.get_node(node)
            assert found.last_error is None
            return bool(found.provision_state == state)

        wait_for(there, f"node {state}")

    go("manage", "manageable")
    go("provide", "available")
    go("active", "active")
    seconds = time.monotonic() - began
    sys.stdout.write(f"enroll to active in {seconds:.2f} s\n")
    assert seconds < 30
    go("deleted", "available")
    baremetal.delete_node(node)
    assert baremetal.find_node("mine") is None


# Restart and reset ----------------------------------------------------------------------------


def test_restart_keeps_the_data(one: UpCloud, client: Any) -> None:
    server = create_server(client, "kept")
    before = {service: one.pid(service) for service in SERVICES}
    restarted = one.do("restart", "nova")
    assert restarted.code == 0, restarted
    assert client.compute.get_server(server.id).status == "ACTIVE"
    after = {service: one.pid(service) for service in SERVICES}
    assert {service for service in SERVICES if before[service] != after[service]} == {"nova"}
    assert not psutil.pid_exists(before["nova"])
    assert create_server(client, "more").status == "ACTIVE"


def test_restart_of_no_service_is_refused(one: UpCloud) -> None:
    refused = one.do("restart", "cinder")
    assert refused.code == 2
    assert "nova" in refused.text


def test_reset_puts_everything_back_again_and_again(one: UpCloud, client: Any) -> None:
    servers = names(client.compute.servers())
    assert servers, "the tests before this one leave servers"
    for attempt in range(2):
        client.network.create_network(name=f"mine-{attempt}")
        client.baremetal.create_node(driver="fake-hardware", name=f"mine-{attempt}")
        client.identity.create_user(name=f"mine-{attempt}")
        client.image.create_image(f"mine-{attempt}", disk_format="raw", container_format="bare")
        before = seeds(client)
        reset = one.do("reset")
        assert reset.code == 0, reset
        sys.stdout.write(f"reset took {reset.seconds:.1f} s\n")
        after = seeds(client)
        gone = {kind: len(before[kind] - after[kind]) for kind in before}
        new = {kind: after[kind] - before[kind] for kind in after if after[kind] - before[kind]}
        made_each_time = {"flavors": 0, "routers": 0, "endpoints": 0, "hypervisors": 0}
        assert gone == made_each_time | {"networks": 1, "images": 1, "users": 1}
        assert new == {}
        assert names(client.compute.servers()) == set()
        assert names(client.baremetal.nodes()) == set()
    assert create_server(client, "after").status == "ACTIVE"
    assert one.do("status").code == 0


def test_reset_that_its_user_interrupts_goes_on_without_them(one: UpCloud, client: Any) -> None:
    resetting = one.place.start("bsdgate", "reset", "--name", "one")
    wait_for(lambda: one.told["state"] == "resetting", "the reset begins")
    resetting.press_ctrl_c()
    assert resetting.done().code == 130
    wait_for(lambda: one.told["state"] == "ready", "the reset ends")
    assert one.do("status").code == 0
    assert create_server(client, "then").status == "ACTIVE"


# Two at once ----------------------------------------------------------------------------------


def test_second_up_of_the_same_name_is_refused(one: UpCloud) -> None:
    before, entry = one.told, one.place.clouds_yaml.read_bytes()
    refused = one.place.bsdgate("up", "--name", "one")
    assert refused.code == 2
    assert str(one.directory) in refused.text
    assert "bsdgate down" in refused.text
    assert "--name" in refused.text
    assert (one.told, one.place.clouds_yaml.read_bytes()) == (before, entry)
    assert one.do("status").code == 0


def test_second_cloud_comes_from_the_templates(second_up: Done, two: UpCloud) -> None:
    assert "Building" not in second_up.text
    sys.stdout.write(f"up from templates took {second_up.seconds:.1f} s\n")
    assert set(two.ports.values()).isdisjoint(UpCloud(two.place, "one").ports.values())


def test_clouds_do_not_see_each_others_servers(one: UpCloud, two: UpCloud, client: Any) -> None:
    create_server(client, "of-one")
    with connected(two) as other:
        create_server(other, "of-two")
        assert names(other.compute.servers()) == {"of-two"}
        other.network.create_network(name="of-two")
    assert "of-two" not in names(client.compute.servers())
    assert "of-two" not in names(client.network.networks())


def test_cloud_has_no_path_of_the_cloud_that_made_its_template(one: UpCloud, two: UpCloud) -> None:
    foreign = f"{one.directory}/"
    files = [
        path for top in ("data", "etc", "pristine") for path in (two.directory / top).rglob("*")
    ]
    databases = {path for path in files if path.suffix == ".sqlite"}
    assert len(databases) > len(SERVICES)
    tainted = [path for path in databases if any(foreign in line for line in dumped(path))]
    plain = {path for path in files if path.is_file() and ".sqlite" not in path.name}
    tainted += [path for path in plain if foreign.encode() in path.read_bytes()]
    assert tainted == []


def test_cloud_opens_no_file_of_another(one: UpCloud, two: UpCloud) -> None:
    opened = {
        file.path
        for process in two.processes()
        for file in process.open_files()
        if "/clouds/" in file.path
    }
    assert opened, "the services' databases and logs are open"
    assert {path for path in opened if f"/clouds/{two.name}/" not in path} == set()


def test_cloud_lives_below_a_path_too_long_for_a_socket(two: UpCloud) -> None:
    assert len(os.fsencode(two.directory / "control")) > SOCKET_PATH_MAX
    restarted = two.do("restart", "placement")
    assert restarted.code == 0, restarted
    assert two.place.litter() == []


def test_cloud_listens_on_loopback_alone(two: UpCloud) -> None:
    addresses = {
        connection.laddr.ip
        for process in two.processes()
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert addresses == {"127.0.0.1"}


# Killed ---------------------------------------------------------------------------------------


def status_once(cloud: UpCloud, state: str) -> Done:
    wait_for(lambda: cloud.told["state"] == state, f"the cloud is {state}", timeout=10)
    return cloud.do("status")


def row_of(status: Done, service: str) -> str:
    (row,) = (each for each in status.text.splitlines() if f" {service} " in each)
    return row


def assert_whole(cloud: UpCloud) -> None:
    status = cloud.do("status")
    assert status.code == 0, status
    assert "died" not in status.text
    assert "(status" not in status.text


def test_killed_worker_is_told_and_restart_heals(two: UpCloud) -> None:
    os.kill(two.pid("placement"), signal.SIGKILL)
    status = status_once(two, "degraded")
    assert status.code == 3
    assert "died (status -9)" in row_of(status, "placement")
    others = [service for service in SERVICES if service != "placement"]
    assert all("serving" in row_of(status, service) for service in others)
    with connected(two) as other:
        assert names(other.compute.servers()) == {"of-two"}
    healed = two.do("restart", "placement")
    assert healed.code == 0, healed
    assert_whole(two)
    with connected(two) as other:
        assert create_server(other, "healed").status == "ACTIVE"


def test_killed_nursery_takes_its_worker_along_and_restart_heals(two: UpCloud) -> None:
    worker = psutil.Process(two.pid("glance"))
    worker.parent().kill()
    status = status_once(two, "degraded")
    assert status.code == 3
    assert "died (status -9)" in row_of(status, "glance")
    wait_for(lambda: not worker.is_running(), "the worker follows its nursery", timeout=10)
    healed = two.do("restart", "glance")
    assert healed.code == 0, healed
    assert_whole(two)
    with connected(two) as other:
        assert names(other.image.images()) == {"empty"}


def test_killed_nursery_is_healed_by_reset_too(two: UpCloud) -> None:
    psutil.Process(two.pid("ironic")).parent().kill()
    assert status_once(two, "degraded").code == 3
    healed = two.do("reset")
    assert healed.code == 0, healed
    assert_whole(two)
    with connected(two) as other:
        assert names(other.compute.servers()) == set()
        assert names(other.baremetal.nodes()) == set()


def test_service_is_not_started_without_what_it_needs(two: UpCloud) -> None:
    os.kill(two.pid("placement"), signal.SIGKILL)
    assert status_once(two, "degraded").code == 3
    refused = two.do("restart", "nova")
    assert refused.code == 3
    assert "needs placement" in refused.text
    assert two.do("restart", "placement").code == 0
    assert_whole(two)


def test_service_that_cannot_start_again_shows_its_log(two: UpCloud) -> None:
    database = two.directory / "data" / "placement" / "main.sqlite"
    saved = database.rename(database.with_name("saved"))
    database.write_bytes(b"this is no database")
    refused = two.do("restart", "placement")
    assert refused.code == 3
    assert "placement" in refused.text
    assert "file is not a database" in refused.text
    assert str(two.directory / "logs" / "placement.log") in refused.text
    status = two.do("status")
    assert status.code == 3
    assert "died" in row_of(status, "placement")
    saved.rename(database)
    healed = two.do("restart", "placement")
    assert healed.code == 0, healed
    assert_whole(two)


def test_killed_supervisor_leaves_nothing_running_and_down_cleans(two: UpCloud) -> None:
    ports, family = two.ports.values(), two.processes()
    assert len(family) == 1 + 2 * len(SERVICES)
    os.kill(two.told["pid"], signal.SIGKILL)
    wait_for(lambda: not two.processes(), "all of the cloud's processes end by themselves", 10)
    assert listening(ports) == []
    status = two.do("status")
    assert status.code == 3
    assert "killed" in status.text
    refused = two.do("restart", "nova")
    assert (refused.code, "bsdgate up" in refused.text) == (2, True)
    down = two.do("down")
    assert down.code == 0, down
    assert "killed" in down.text
    assert not two.directory.exists()
    assert two.name not in two.place.clouds_yaml.read_text()


def test_next_up_cleans_after_a_killed_cloud_and_takes_the_port_it_is_given(one: UpCloud) -> None:
    """A cloud is killed at one stroke, and comes up at a port of the user's choice."""
    for each in sorted(one.processes(), key=lambda process: process.pid == one.told["pid"]):
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    wait_for(lambda: not one.processes(), "the cloud is dead")
    port = free_port()
    up = one.place.bsdgate("up", "--name", "one", "--port", f"keystone={port}")
    assert up.code == 0, up
    assert one.ports["keystone"] == port
    assert f":{port}/v3" in one.place.clouds_yaml.read_text()
    with connected(one) as client:
        assert names(client.compute.servers()) == set()
        assert create_server(client, "fresh").status == "ACTIVE"


# Refused and ended ----------------------------------------------------------------------------


def test_port_in_use_is_named_and_nothing_is_left(place: Place, one: UpCloud) -> None:
    before = len(place.processes())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = place.bsdgate("up", "--name", "three", "--port", f"nova={port}")
    assert refused.code in {2, 3}
    assert f"port {port} of nova" in refused.text
    assert "in use" in refused.text
    assert "another port" in refused.text
    assert "three" not in place.clouds_yaml.read_text()
    assert len(place.processes()) == before
    gone = place.bsdgate("status", "--name", "three")
    assert gone.code in {2, 3}


def test_interrupted_up_leaves_nothing(place: Place, one: UpCloud) -> None:
    """The services are stopped in the middle of their imports."""
    before = len(place.processes())
    booting = place.start("bsdgate", "up", "--name", "three")
    directory = place.state / "clouds" / "three"
    wait_for((directory / "spec.json").exists, "the supervisor works")
    booting.press_ctrl_c()
    done = booting.done(30)
    assert done.code == 130, done
    assert place.processes(directory) == []
    assert len(place.processes()) == before
    assert "three" not in place.clouds_yaml.read_text()


def test_killed_up_leaves_nothing_running(place: Place, one: UpCloud) -> None:
    before = len(place.processes())
    booting = place.start("bsdgate", "up", "--name", "four")
    directory = place.state / "clouds" / "four"
    wait_for((directory / "spec.json").exists, "the supervisor works")
    booting.popen.kill()
    booting.done()
    wait_for(lambda: len(place.processes()) == before, "what it had started is gone", 15)
    assert place.bsdgate("down", "--name", "four").code == 0
    assert not directory.exists()


def test_down_leaves_nothing_but_the_users_own(place: Place, one: UpCloud) -> None:
    ports = one.ports.values()
    assert sorted(listening(ports)) == sorted(ports)
    down = one.do("down")
    assert down.code == 0, down
    assert not one.directory.exists()
    assert place.clouds_yaml.read_text() == USERS_OWN
    assert listening(ports) == []
    place.wait_until_empty()
    assert place.litter() == []
    for verb in ("down", "status", "reset"):
        refused = one.do(verb)
        assert refused.code == 2
        assert "no cloud 'one'" in refused.text
        assert "bsdgate up" in refused.text
