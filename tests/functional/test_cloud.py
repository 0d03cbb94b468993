# SPDX-License-Identifier: Apache-2.0
"""The embedded cloud of a user: started, used, restarted, reset, and ended.

A cloud takes ten seconds to start, so the tests share two clouds. Their order matters: the
tests that end a cloud are the last.
"""

import contextlib
import json
import os
import shlex
import signal
import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from functional.place import BIN, SERVICES, Done, Place, UpCloud, listening, wait_for
from functional.sdk import connected, create_server, names, seeds
from functional.shared import FirstUp

# openstacksdk emits warnings about itself.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]

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
LONG_NAME = "a-cloud-with-a-directory-longer-than-a-unix-socket-path-may-be"


@pytest.fixture(scope="module")
def cache(filled_cache: Path) -> Path:
    """Return a cache that the first start of a cloud has filled."""
    return filled_cache


@pytest.fixture(scope="module")
def filling(cache: Path) -> FirstUp:
    """Return the start of the cloud that has filled the cache."""
    return FirstUp.read(cache)


@pytest.fixture(scope="module")
def first_up(place: Place) -> Done:
    """Start the first cloud of a user who has other clouds already."""
    place.clouds_yaml.parent.mkdir(parents=True)
    elsewhere = place.root / "dotfiles.yaml"
    elsewhere.write_text(USERS_OWN)
    place.clouds_yaml.symlink_to(elsewhere)
    # With a umask of 0 the files and directories of bsdgate must still be private.
    up = 'umask 000; exec "$0" up --name one'
    return place.start("sh", "-c", up, BIN / "bsdgate").done()


@pytest.fixture(scope="module")
def one(place: Place, first_up: Done) -> UpCloud:
    assert first_up.code == 0, first_up
    return UpCloud(place, "one")


@pytest.fixture(scope="module")
def second_up(place: Place, one: UpCloud) -> Done:
    """Start a second cloud while the first runs, from the templates that now exist."""
    return place.bsdgate("up", "--name", LONG_NAME)


@pytest.fixture(scope="module")
def two(place: Place, second_up: Done) -> UpCloud:
    assert second_up.code == 0, second_up
    return UpCloud(place, LONG_NAME)


@pytest.fixture(scope="module")
def client(one: UpCloud) -> Iterator[Any]:
    with connected(one) as client:
        yield client


def dumped(database: Path) -> Iterator[str]:
    """Yield the SQL statements that create the database."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    with contextlib.closing(connection):
        yield from connection.iterdump()


# Output and files of up ------------------------------------------------------------------------


def test_first_up_makes_the_templates(filling: FirstUp) -> None:
    assert "Building the database templates" in filling.text
    sys.stdout.write(f"up from an empty cache took {filling.seconds:.1f} s\n")
    kinds = [each.rpartition("-")[0] for each in filling.templates]
    assert kinds == sorted(["cloud", *(f"schema-{service}" for service in SERVICES)])


def test_up_prints_how_to_use_and_to_end_the_cloud(first_up: Done, one: UpCloud) -> None:
    assert "ready" in first_up.text
    assert str(one.directory / "logs") in first_up.text
    assert str(one.place.clouds_yaml) in first_up.text
    said = first_up.text.splitlines()
    (command,) = (shlex.split(each) for each in said if "OS_CLOUD=" in each)
    assert command[0] == "OS_CLOUD=one"
    assert (Path(command[1]).name, *command[2:]) == ("openstack", "server", "list")
    (end,) = (
        shlex.split(each.strip("`").partition("`")[0]) for each in said if "ends the cloud" in each
    )
    assert (Path(end[0]).name, *end[1:]) == ("bsdgate", "down", "--name", "one")


def test_printed_command_works(first_up: Done, one: UpCloud) -> None:
    (command,) = (each for each in first_up.text.splitlines() if "OS_CLOUD=" in each)
    done = one.place.start("sh", "-c", f"{command} --format json").done()
    assert (done.code, done.text.strip()) == (0, "[]")


def test_clouds_yaml_keeps_what_the_user_wrote(one: UpCloud) -> None:
    text = one.place.clouds_yaml.read_text()
    head, line, tail = USERS_OWN.partition("clouds:\n")
    assert text.startswith(f"{head}{line}  one:  # made by bsdgate\n")
    assert text.endswith(tail)
    assert one.place.clouds_yaml.is_symlink()
    assert one.place.clouds_yaml.stat().st_mode & 0o777 == 0o600


def test_no_file_is_outside_the_state_and_cache_directories(one: UpCloud) -> None:
    assert one.place.stray_files() == []


def test_directories_are_private_with_any_umask(
    one: UpCloud, cache: Path, filling: FirstUp
) -> None:
    ours = [one.directory.parent, one.directory, cache / "templates"]
    ours += [each for each in one.directory.iterdir() if each.is_dir()]
    ours += [cache / "templates" / each for each in filling.templates]
    assert {each: oct(each.stat().st_mode & 0o777) for each in ours} == dict.fromkeys(ours, "0o700")


def test_files_are_private(one: UpCloud) -> None:
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


def test_log_of_an_unknown_service_is_refused(one: UpCloud) -> None:
    refused = one.do("logs", "cinder")
    assert refused.code == 2
    assert "no log of cinder" in refused.text
    assert "keystone" in refused.text


# Requests to the cloud ------------------------------------------------------------------------


def test_openstack_client_makes_and_removes_a_network(one: UpCloud) -> None:
    def openstack(*words: str) -> Done:
        done = one.place.start("openstack", *words, OS_CLOUD="one").done()
        assert done.code == 0, done
        return done

    made = json.loads(openstack("network", "create", "--format", "json", "mine").text)
    assert (made["name"], made["status"]) == ("mine", "ACTIVE")
    openstack("network", "delete", "mine")


def test_server_becomes_active_and_is_deleted(client: Any) -> None:
    server = create_server(client, "mine")
    (port,) = client.network.ports(device_id=server.id)
    assert port.status == "ACTIVE"
    client.compute.delete_server(server)
    wait_for(lambda: not client.compute.find_server(server.id), "the server is gone")
    assert list(client.network.ports(device_id=server.id)) == []


def test_node_is_enrolled_deployed_and_deleted(client: Any) -> None:
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


def test_restart_of_an_unknown_service_is_refused(one: UpCloud) -> None:
    refused = one.do("restart", "cinder")
    assert refused.code == 2
    assert "nova" in refused.text


def test_reset_restores_the_initial_state_each_time(one: UpCloud, client: Any) -> None:
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
        assert names(client.baremetal.nodes()) == {"fake"}
    assert create_server(client, "after").status == "ACTIVE"
    assert one.do("status").code == 0


def test_interrupted_reset_is_completed(one: UpCloud, client: Any) -> None:
    resetting = one.place.start("bsdgate", "reset", "--name", "one")
    wait_for(lambda: one.status["state"] == "resetting", "the reset begins")
    resetting.press_ctrl_c()
    assert resetting.done().code == 130
    wait_for(lambda: one.status["state"] == "ready", "the reset ends")
    assert one.do("status").code == 0
    assert create_server(client, "then").status == "ACTIVE"


# Two at once ----------------------------------------------------------------------------------


def test_second_up_of_the_same_name_is_refused(one: UpCloud) -> None:
    before, entry = one.status, one.place.clouds_yaml.read_bytes()
    refused = one.place.bsdgate("up", "--name", "one")
    assert refused.code == 2
    assert str(one.directory) in refused.text
    assert "bsdgate down" in refused.text
    assert "--name" in refused.text
    assert (one.status, one.place.clouds_yaml.read_bytes()) == (before, entry)
    assert one.do("status").code == 0


def test_second_cloud_is_made_from_the_templates(second_up: Done, two: UpCloud) -> None:
    assert "Building" not in second_up.text
    sys.stdout.write(f"up from templates took {second_up.seconds:.1f} s\n")
    assert set(two.ports.values()).isdisjoint(UpCloud(two.place, "one").ports.values())


def test_a_cloud_does_not_list_servers_of_another(one: UpCloud, two: UpCloud, client: Any) -> None:
    create_server(client, "of-one")
    with connected(two) as other:
        create_server(other, "of-two")
        assert names(other.compute.servers()) == {"of-two"}
        other.network.create_network(name="of-two")
    assert "of-two" not in names(client.compute.servers())
    assert "of-two" not in names(client.network.networks())


def test_cloud_has_no_path_of_the_cloud_that_made_its_template(
    two: UpCloud, cache: Path, filling: FirstUp
) -> None:
    (whole,) = (each for each in filling.templates if each.startswith("cloud-"))
    origin = Path((cache / "templates" / whole / "origin").read_text())
    assert origin.name == "data"
    foreign = f"{origin.parent}/"
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


def test_cloud_runs_in_a_directory_with_a_path_too_long_for_a_socket(two: UpCloud) -> None:
    assert len(os.fsencode(two.directory / "control")) > SOCKET_PATH_MAX
    restarted = two.do("restart", "placement")
    assert restarted.code == 0, restarted
    assert two.place.stray_files() == []


def test_cloud_listens_on_loopback_only(two: UpCloud) -> None:
    addresses = {
        connection.laddr.ip
        for process in two.processes()
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert addresses == {"127.0.0.1"}


# The end of a cloud ---------------------------------------------------------------------------


def test_down_ends_one_cloud_and_not_the_other(one: UpCloud, two: UpCloud) -> None:
    down = two.do("down")
    assert down.code == 0, down
    assert two.name not in one.place.clouds_yaml.read_text()
    assert one.do("status").code == 0


def test_down_leaves_only_the_files_of_the_user(place: Place, one: UpCloud) -> None:
    ports = one.ports.values()
    assert sorted(listening(ports)) == sorted(ports)
    down = one.do("down")
    assert down.code == 0, down
    assert not one.directory.exists()
    assert place.clouds_yaml.read_text() == USERS_OWN
    assert listening(ports) == []
    place.wait_until_empty()
    assert place.stray_files() == []
    for verb in ("down", "status", "reset"):
        refused = one.do(verb)
        assert refused.code == 2
        assert "no cloud 'one'" in refused.text
        assert "bsdgate up" in refused.text
