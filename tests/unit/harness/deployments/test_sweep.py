# SPDX-License-Identifier: Apache-2.0
"""Only the resources of runs are found and removed."""

import json
from pathlib import Path

import pytest
from fakes.cloud import FakeCloud

from bsdgate.harness.deployments import inventory
from bsdgate.harness.deployments.inventory import Inventory, Resource
from bsdgate.harness.deployments.ownership import (
    BASELINE,
    REQUESTS,
    STANDING,
    Mark,
    Ownership,
    check_prefix,
    default_prefix,
    interrupted,
    run_prefix,
)
from bsdgate.harness.deployments.sweep import sweep
from bsdgate.harness.errors import UsageError
from bsdgate.harness.request_log import RequestLog

SERVICES = {"identity", "network", "compute", "image", "baremetal"}
ID = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def cloud() -> FakeCloud:
    return FakeCloud()


def of(made: set[tuple[str, str]], foreign: Inventory | None = None) -> Ownership:
    return Ownership("mine", frozenset(made), frozenset(foreign or ()))


def names(resources: list[Resource]) -> set[str]:
    return {f"{each.kind} {each.name}" for each in resources}


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("mine-r12ab-net-1", True),
        ("mine-r12ab", True),
        ("mine-net", False),
        ("mine-r12abc-net", False),
        ("mine2-r12ab-net", False),
        ("xmine-r12ab-net", False),
        ("mine-rpeople-net", False),
    ],
)
def test_a_name_with_the_prefix_and_the_digits_of_a_run_is_ours(
    cloud: FakeCloud, name: str, ours: bool
) -> None:
    cloud.add("network", name=name)
    assert bool(of(set()).owned(inventory.take(cloud, SERVICES))) == ours


def test_a_recorded_resource_is_ours_with_any_name(cloud: FakeCloud) -> None:
    made = cloud.add("network", name="tempest-net")
    cloud.add("network", name="tempest-net")
    (found,) = of({("networks", made)}).owned(inventory.take(cloud, SERVICES))
    assert found.id == made


def test_a_short_id_is_ours_only_for_the_recorded_kind(cloud: FakeCloud) -> None:
    cloud.add("aggregate", id="1", name="a")
    cloud.add("flavor", id="1", name="f")
    found = of({("os-aggregates", "1")}).owned(inventory.take(cloud, SERVICES))
    assert names(found) == {"aggregate a"}


def test_a_resource_of_our_project_user_or_domain_is_ours(cloud: FakeCloud) -> None:
    project = cloud.add("project", name="mine-r12ab-p")
    domain = cloud.add("domain", name="mine-r12ab-d")
    cloud.add("security group", name="default", project_id=project)
    cloud.add("user", name="u", domain_id=domain)
    cloud.add("key pair", name="key", user_id=ID)
    cloud.add("port", name="", project_id="theirs")
    ownership = of({("users", ID)})
    found = ownership.owned(inventory.take(cloud, SERVICES, ownership.users))
    expected = {"project mine-r12ab-p", "domain mine-r12ab-d", "security group default"}
    assert names(found) == {*expected, "user u", "key pair key"}


def test_a_role_of_our_user_is_ours(cloud: FakeCloud) -> None:
    user = cloud.add("user", name="mine-r12ab-u")
    for each in (user, "theirs"):
        given = {"role": {"id": "r"}, "user": {"id": each}, "scope": {"project": {"id": "p"}}}
        cloud.of("role assignment").append(given)
    found = of(set()).owned(inventory.take(cloud, SERVICES))
    assert [each.id for each in found if each.kind == "role assignment"] == [
        "/".join(sorted(["r", user, "p"]))
    ]


def test_a_resource_from_before_is_never_ours(cloud: FakeCloud) -> None:
    cloud.add("network", id=ID, name="mine-r12ab-net")
    before = inventory.take(cloud, SERVICES)
    assert of({("networks", ID)}, before).owned(before) == []


def test_all_resources_are_removed_in_an_order_that_services_allow(cloud: FakeCloud) -> None:
    router = cloud.add("router", name="mine-r12ab-r")
    port = cloud.add(
        "port", name="mine-r12ab-x", device_owner="network:router_interface", device_id=router
    )
    domain = cloud.add("domain", name="mine-r12ab-d")
    node = cloud.add("node", name="mine-r12ab-n")
    cloud.add("key pair", name="mine-r12ab-k", user_id=cloud.add("user", name="theirs"))
    kept = cloud.add("network", name="theirs")
    found, left = sweep(
        cloud, lambda: inventory.take(cloud, SERVICES), of(set()).owned, pause=lambda _: None
    )
    assert left == []
    assert {each.id for each in found.values() if each.kind == "network"} == {kept}
    done = [f"{method} {path}" for method, _, path in cloud.asked if method != "GET"]
    user = cloud.of("user")[0]["id"]
    assert done == [
        f"DELETE /os-keypairs/mine-r12ab-k?user_id={user}",
        f"PUT /routers/{router}/remove_router_interface",
        f"DELETE /ports/{port}",
        f"DELETE /routers/{router}",
        f"PUT /nodes/{node}/maintenance",
        f"DELETE /nodes/{node}",
        f"PATCH /domains/{domain}",
        f"DELETE /domains/{domain}",
    ]


def test_a_refused_removal_is_repeated(cloud: FakeCloud) -> None:
    refused = cloud.add("network", name="mine-r12ab-net")
    cloud.refused.add(refused)
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        cloud.refused.clear()

    _, left = sweep(cloud, lambda: inventory.take(cloud, SERVICES), of(set()).owned, pause=pause)
    assert (left, len(pauses), cloud.of("network")) == ([], 1, [])


def test_a_resource_that_cannot_be_removed_is_returned(cloud: FakeCloud) -> None:
    cloud.refused.add(cloud.add("network", name="mine-r12ab-net"))
    cloud.add("image", name="mine-r12ab-image")
    _, left = sweep(
        cloud,
        lambda: inventory.take(cloud, SERVICES),
        of(set()).owned,
        seconds=-1,
        pause=lambda _: pytest.fail("time is up"),
    )
    assert (names(left), cloud.of("image")) == ({"network mine-r12ab-net"}, [])


def test_runs_that_were_not_cleaned_up_are_found_by_cloud_and_prefix(tmp_path: Path) -> None:
    mark = Mark("http://a", "mine")
    others = [Mark("http://a", "mine", clean=True), Mark("http://b", "mine"), Mark("http://a", "x")]
    for number, each in enumerate([mark, *others]):
        (tmp_path / f"{number}").mkdir()
        each.write(tmp_path / f"{number}")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / STANDING).write_text("{")
    assert interrupted(tmp_path, mark) == [tmp_path / "0"]


def test_records_and_inventories_of_all_runs_count(tmp_path: Path, cloud: FakeCloud) -> None:
    for number in range(2):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        RequestLog(folder / REQUESTS).made("/v2.0/networks", f"{number}")
    cloud.add("network", name="theirs")
    before = inventory.take(cloud, SERVICES)
    inventory.write(tmp_path / "0" / BASELINE, before)
    found = Ownership.of_runs("mine", [tmp_path / "0", tmp_path / "1"])
    assert found == of({("networks", "0"), ("networks", "1")}, before)


def test_an_inventory_is_read_as_it_was_written(tmp_path: Path, cloud: FakeCloud) -> None:
    cloud.add("network", name="theirs", subnets=["b", "a"])
    cloud.add("port", device_owner="compute:nova", device_id=ID)
    before = inventory.take(cloud, SERVICES)
    inventory.write(tmp_path / BASELINE, before)
    assert inventory.read(tmp_path / BASELINE) == before
    assert inventory.read(tmp_path / "none") is None
    assert "theirs" in json.dumps(json.loads((tmp_path / BASELINE).read_text()))


@pytest.mark.parametrize(
    "prefix", ["", "Mine", "1a", "a b", "a.b", "a" * 12, "-a", "a-r12ab", "a-r12ab-b"]
)
def test_an_invalid_prefix_is_refused(prefix: str) -> None:
    with pytest.raises(UsageError, match="--prefix"):
        check_prefix(prefix)


def test_the_default_prefix_is_constant_and_differs_by_state_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for state in ("a", "a", "b"):
        monkeypatch.setenv("BSDGATE_STATE_DIR", str(tmp_path / state))
        found.append(default_prefix())
        check_prefix(found[-1])
    assert found[0] == found[1] != found[2]
    assert run_prefix("mine", ID) == "mine-r0123"
