# SPDX-License-Identifier: Apache-2.0
"""The speed and the memory of the embedded cloud: printed, not asserted.

``tox -e bench``; ratios are from one run, because machines are noisy.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
from functional.place import wait_for

from bsdgate.harness.cloud import service
from bsdgate.harness.cloud.client import Cloud
from bsdgate.harness.cloud.spec import CloudName

# Warnings of the services' libraries about each other cannot be fixed here.
pytestmark = pytest.mark.filterwarnings("ignore")

RESETS = 5

IMPORTS = """
import importlib, time
from bsdgate.harness.cloud import service
module = service.load({name!r})
if {name!r} == "nova":
    import os; os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"] = "1"
    from nova import monkey_patch; monkey_patch.patch()
for each in module.IMPORTS: importlib.import_module(each)
print(time.process_time())
"""


def show(what: str, value: str) -> None:
    print(f"  {what:58} {value}")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cloud")


@pytest.fixture(scope="module")
def cloud(place: Path) -> Iterator[Cloud]:
    """Yield a cloud from a cached template, after another cloud has made the template."""
    print()
    for label in ("up for the first time, templates built", "up from the templates"):
        began = time.monotonic()
        cloud = Cloud.start(
            place / "cloud",
            name=CloudName("bench"),
            python=Path(sys.executable),
            templates=place / "t",
        )
        seconds = time.monotonic() - began
        show(label, f"{seconds:6.2f} s")
        if "first" in label:
            cloud.stop()
    show("  the most that it may take: 1.25 x imports / cores + 2 s", f"{_budget():6.2f} s")
    yield cloud
    cloud.stop()


def _budget() -> float:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    total = 0.0
    for name in service.SERVICES:
        argv = [sys.executable, "-W", "ignore", "-c", IMPORTS.format(name=name)]
        done = subprocess.run(argv, check=True, capture_output=True, text=True, env=environment)
        total += float(done.stdout)
    show("  CPU seconds of importing the services one by one", f"{total:6.2f} s")
    return 1.25 * total / len(psutil.Process().cpu_affinity()) + 2


@pytest.fixture
def client(cloud: Cloud) -> Any:
    import openstack

    entry = cloud.clouds_yaml_entry()
    return openstack.connect(
        **entry["auth"],
        region_name=entry["region_name"],
        load_yaml_config=False,
        load_envvars=False,
    )


def test_memory_at_rest(cloud: Cloud) -> None:
    supervisor = psutil.Process(cloud.status()["pid"])
    tree = [supervisor, *supervisor.children(recursive=True)]
    if hasattr(tree[0].memory_full_info(), "pss"):
        pss = sum(each.memory_full_info().pss for each in tree)
        show(f"memory at rest, {len(tree)} processes, PSS", f"{pss / 2**20:6.0f} MiB")
    rss = sum(each.memory_info().rss for each in tree)
    show("memory at rest, RSS (shared pages counted in each)", f"{rss / 2**20:6.0f} MiB")


def test_server_to_active(client: Any) -> None:
    image, flavor = client.image.find_image("empty"), client.compute.find_flavor("m1.tiny")
    network = client.network.find_network("private")
    seconds = []
    for number in range(5):
        began = time.monotonic()
        server = client.compute.create_server(
            name=f"bench-{number}",
            image_id=image.id,
            flavor_id=flavor.id,
            networks=[{"uuid": network.id}],
        )
        client.compute.wait_for_server(server, interval=0.05)
        seconds.append(time.monotonic() - began)
        client.compute.delete_server(server)
    show("server to ACTIVE, median of 5 (first)", f"{sorted(seconds)[2]:6.2f} s ({seconds[0]:.2f})")


def reach(client: Any, node: Any, verb: str, state: str) -> None:
    """Request a step, and wait for its end; openstacksdk itself polls every two seconds."""

    def reached() -> bool:
        found = client.baremetal.get_node(node.id)
        assert not found.last_error, found.last_error
        return bool(found.provision_state == state)

    client.baremetal.set_node_provision_state(node, verb)
    wait_for(reached, f"node {node.name} {state}")


def test_node_to_active(client: Any) -> None:
    seconds = []
    for number in range(5):
        began = time.monotonic()
        node = client.baremetal.create_node(name=f"bench-{number}", driver="fake-hardware")
        reach(client, node, "manage", "manageable")
        reach(client, node, "provide", "available")
        information = {"image_source": "http://192.0.2.1/i", "image_checksum": "0" * 32}
        client.baremetal.update_node(node, instance_info=information)
        reach(client, node, "active", "active")
        seconds.append(time.monotonic() - began)
    show(
        "node from enroll to active, median of 5 (first)",
        f"{sorted(seconds)[2]:6.2f} s ({seconds[0]:.2f})",
    )


def test_reset(cloud: Cloud) -> None:
    seconds = []
    for _ in range(RESETS):
        began = time.monotonic()
        cloud.reset()
        seconds.append(time.monotonic() - began)
    show(
        f"reset, median of {RESETS} (most)",
        f"{sorted(seconds)[RESETS // 2]:6.2f} s ({max(seconds):.2f})",
    )


@pytest.mark.usefixtures("cloud")
def test_smoke_to_verdict(place: Path, cloud: Cloud) -> None:
    """The main job without a running cloud; the overhead is neither boot nor Tempest."""
    cloud.stop()
    environment = {**os.environ, "BSDGATE_STATE_DIR": str(place / "s")}
    environment["BSDGATE_CACHE_DIR"] = str(place / "c")
    (place / "c").mkdir()
    (place / "t").rename(place / "c" / "templates")
    argv = [str(Path(sys.executable).with_name("bsdgate")), "run"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    done = subprocess.run(argv, check=False, env=environment, capture_output=True, text=True)
    seconds = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    (run,) = (place / "s" / "runs").iterdir()
    result = json.loads((run / "report" / "verdict.json").read_text())["result"]
    show("smoke to verdict, from nothing running", f"{seconds:6.1f} s  {result} {done.returncode}")
    began_at, took = _steps(run)
    for step, step_seconds in took.items():
        show(f"  {step}", f"{step_seconds:6.1f} s")
    attempt = json.loads((run / "evidence" / "02-tempest" / "attempt.json").read_text())
    started, ended = (datetime.fromisoformat(attempt[each]) for each in ("started", "ended"))
    listing, testing = started - began_at["test"], ended - started
    show("  of test: tempest run --list-tests", f"{listing.total_seconds():6.1f} s")
    show("  of test: tempest run", f"{testing.total_seconds():6.1f} s")
    overhead = seconds - took["deploy"] - listing.total_seconds() - testing.total_seconds()
    show("  overhead: neither the services' boot nor tempest run", f"{overhead:6.1f} s")
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    show("  CPU of the harness and what it waited for", f"{used:6.1f} s")


def _steps(run: Path) -> tuple[dict[str, datetime], dict[str, float]]:
    began, took = {}, {}
    for line in (run / "journal.jsonl").read_text().splitlines():
        event = json.loads(line)
        at = datetime.fromisoformat(event["t"])
        if event["event"] == "begin":
            began[event["step"]] = at
        elif event["step"] in began:
            took[event["step"]] = (at - began[event["step"]]).total_seconds()
    return began, took
