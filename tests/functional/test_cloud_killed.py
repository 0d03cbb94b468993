# SPDX-License-Identifier: Apache-2.0
"""The embedded cloud when one of its processes, or the command that starts it, is killed.

A cloud takes ten seconds to start, so the tests share one; the tests that end it are the last.
"""

import contextlib
import http.client
import os
import signal
import socket
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
import yaml
from functional.place import SERVICES, Done, Place, UpCloud, free_port, listening, wait_for
from functional.sdk import connected, create_server, names

# openstacksdk emits warnings about itself.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(180)]

PROFILES = Path(__file__).parents[2] / "harness" / "profiles"
TOKEN_SECONDS = 1234


@pytest.fixture(scope="module")
def cloud(place: Place) -> UpCloud:
    profile = yaml.safe_load((PROFILES / "embedded.yaml").read_text())
    profile["services"]["keystone"] = {"options": {"token": {"expiration": TOKEN_SECONDS}}}
    mine = place.root / "mine.yaml"
    mine.write_text(yaml.safe_dump(profile))
    up = place.bsdgate("up", "--name", "hurt", "--profile", mine)
    assert up.code == 0, up
    return UpCloud(place, "hurt")


def test_cloud_has_the_settings_of_the_users_profile(cloud: UpCloud) -> None:
    with connected(cloud) as client:
        lifetime = client.session.auth.get_access(client.session).expires - datetime.now(UTC)
    assert 0 < lifetime.total_seconds() <= TOKEN_SECONDS


def status_once(cloud: UpCloud, state: str) -> Done:
    wait_for(lambda: cloud.status["state"] == state, f"the cloud is {state}", timeout=10)
    return cloud.do("status")


def row_of(status: Done, service: str) -> str:
    (row,) = (each for each in status.text.splitlines() if f" {service} " in each)
    return row


def assert_closes_connections(port: int) -> None:
    """Check that a service that died closes the connections of clients at once."""
    with pytest.raises((ConnectionError, http.client.BadStatusLine)):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20)


def assert_whole(cloud: UpCloud) -> None:
    status = cloud.do("status")
    assert status.code == 0, status
    assert "died" not in status.text
    assert "(status" not in status.text


def test_killed_worker_is_reported_and_restarted(cloud: UpCloud) -> None:
    with connected(cloud) as other:
        create_server(other, "earlier")
    os.kill(cloud.pid("placement"), signal.SIGKILL)
    status = status_once(cloud, "degraded")
    assert status.code == 3
    assert "died (status -9)" in row_of(status, "placement")
    assert_closes_connections(cloud.ports["placement"])
    others = [service for service in SERVICES if service != "placement"]
    assert all("serving" in row_of(status, service) for service in others)
    with connected(cloud) as other:
        assert names(other.compute.servers()) == {"earlier"}
    healed = cloud.do("restart", "placement")
    assert healed.code == 0, healed
    assert_whole(cloud)
    with connected(cloud) as other:
        assert create_server(other, "healed").status == "ACTIVE"


def test_killed_parent_ends_its_worker_and_both_are_restarted(cloud: UpCloud) -> None:
    worker = psutil.Process(cloud.pid("glance"))
    parent = worker.parent()
    assert parent
    parent.kill()
    status = status_once(cloud, "degraded")
    assert status.code == 3
    assert "died (status -9)" in row_of(status, "glance")
    wait_for(lambda: not worker.is_running(), "the worker ends after its parent", timeout=10)
    assert_closes_connections(cloud.ports["glance"])
    healed = cloud.do("restart", "glance")
    assert healed.code == 0, healed
    assert_whole(cloud)
    with connected(cloud) as other:
        assert names(other.image.images()) == {"empty"}


def test_killed_parent_is_replaced_by_a_reset(cloud: UpCloud) -> None:
    parent = psutil.Process(cloud.pid("ironic")).parent()
    assert parent
    parent.kill()
    assert status_once(cloud, "degraded").code == 3
    healed = cloud.do("reset")
    assert healed.code == 0, healed
    assert_whole(cloud)
    with connected(cloud) as other:
        assert names(other.compute.servers()) == set()
        assert names(other.baremetal.nodes()) == {"fake"}


def test_service_is_not_started_without_the_services_it_needs(cloud: UpCloud) -> None:
    os.kill(cloud.pid("placement"), signal.SIGKILL)
    assert status_once(cloud, "degraded").code == 3
    refused = cloud.do("restart", "nova")
    assert refused.code == 3
    assert "needs placement" in refused.text
    assert cloud.do("restart", "placement").code == 0
    assert_whole(cloud)


def test_failed_restart_shows_the_log(cloud: UpCloud) -> None:
    database = cloud.directory / "data" / "placement" / "main.sqlite"
    saved = database.rename(database.with_name("saved"))
    database.write_bytes(b"this is no database")
    refused = cloud.do("restart", "placement")
    assert refused.code == 3
    assert "placement" in refused.text
    assert "file is not a database" in refused.text
    assert str(cloud.directory / "logs" / "placement.log") in refused.text
    status = cloud.do("status")
    assert status.code == 3
    assert "died" in row_of(status, "placement")
    saved.rename(database)
    healed = cloud.do("restart", "placement")
    assert healed.code == 0, healed
    assert_whole(cloud)


def test_up_removes_a_killed_cloud_and_uses_the_chosen_port(cloud: UpCloud) -> None:
    """All processes of a cloud are killed; the next ``up`` uses a port chosen by the user."""
    for each in sorted(cloud.processes(), key=lambda process: process.pid == cloud.status["pid"]):
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    wait_for(lambda: not cloud.processes(), "the cloud is dead")
    port = free_port()
    up = cloud.place.bsdgate("up", "--name", "hurt", "--port", f"keystone={port}")
    assert up.code == 0, up
    assert cloud.ports["keystone"] == port
    assert f":{port}/v3" in cloud.place.clouds_yaml.read_text()
    with connected(cloud) as client:
        assert names(client.compute.servers()) == set()
        assert create_server(client, "fresh").status == "ACTIVE"


# The command that starts a cloud ---------------------------------------------------------------


def test_port_in_use_is_reported_and_no_file_or_process_is_left(
    place: Place, cloud: UpCloud
) -> None:
    before = len(place.processes())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = place.bsdgate("up", "--name", "three", "--port", f"nova={port}")
    assert refused.code in {2, 3}
    assert f"port {port} of nova" in refused.text
    assert "in use" in refused.text
    assert "--port nova=NUMBER" in refused.text
    assert "three" not in place.clouds_yaml.read_text()
    assert len(place.processes()) == before
    gone = place.bsdgate("status", "--name", "three")
    assert gone.code in {2, 3}


def test_interrupted_up_leaves_no_file_or_process(place: Place, cloud: UpCloud) -> None:
    """The interrupt comes while the services are imported."""
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


def test_killed_up_leaves_no_process(place: Place, cloud: UpCloud) -> None:
    before = len(place.processes())
    booting = place.start("bsdgate", "up", "--name", "four")
    directory = place.state / "clouds" / "four"
    wait_for((directory / "spec.json").exists, "the supervisor works")
    booting.popen.kill()
    booting.done()
    wait_for(lambda: len(place.processes()) == before, "what it had started is gone", 15)
    assert place.bsdgate("down", "--name", "four").code == 0
    assert not directory.exists()


def test_killed_supervisor_leaves_no_process_and_down_removes_its_files(cloud: UpCloud) -> None:
    ports, family = cloud.ports.values(), cloud.processes()
    assert len(family) == 1 + 2 * len(SERVICES)
    os.kill(cloud.status["pid"], signal.SIGKILL)
    wait_for(lambda: not cloud.processes(), "all of the cloud's processes end by themselves", 10)
    assert listening(ports) == []
    status = cloud.do("status")
    assert status.code == 3
    assert "killed" in status.text
    refused = cloud.do("restart", "nova")
    assert (refused.code, "bsdgate up" in refused.text) == (2, True)
    down = cloud.do("down")
    assert down.code == 0, down
    assert "killed" in down.text
    assert not cloud.directory.exists()
    assert cloud.name not in cloud.place.clouds_yaml.read_text()
