# SPDX-License-Identifier: Apache-2.0
"""The resources of others are compared before and after a run."""

import json
from pathlib import Path
from typing import Any

import pytest
from fakes.cloud import FakeCloud

from bsdgate.harness.deployments import audit, inventory
from bsdgate.harness.deployments.audit import Difference
from bsdgate.harness.errors import InfrastructureError
from bsdgate.harness.request_log import Request
from bsdgate.results.codes import Code

SERVICES = {"identity", "network", "compute", "image", "baremetal"}
ID = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def cloud() -> FakeCloud:
    cloud = FakeCloud()
    cloud.add("network", id=ID, name="theirs", tags=["a", "b"], updated_at="1", mtu=1500)
    return cloud


def compared(cloud: FakeCloud, change: Any, *requests: Request) -> list[Difference]:
    """Return the differences after a change of the first network."""
    before = inventory.take(cloud, SERVICES)
    change(cloud.of("network"))
    return audit.compare(before, inventory.take(cloud, SERVICES), requests)


def named(status: int | None = 204) -> Request:
    return Request("DELETE", f"/v2.0/networks/{ID}", frozenset({ID}), status)


def test_an_unchanged_resource_is_no_difference(cloud: FakeCloud) -> None:
    def change(networks: list[dict[str, Any]]) -> None:
        networks[0].update(updated_at="2", tags=["b", "a"])
        networks.append({"id": "new", "name": "another"})

    assert compared(cloud, change, named()) == []


def test_a_difference_has_the_changed_fields(cloud: FakeCloud) -> None:
    (found,) = compared(cloud, lambda each: each[0].update(mtu=1, more=2))
    assert (found.fields, found.request) == (("more", "mtu"), None)
    assert str(found) == f"network theirs ({ID}) has another more, mtu"


@pytest.mark.parametrize("status", [None, 204, 500])
def test_the_request_for_a_resource_that_disappeared_is_found(
    cloud: FakeCloud, status: int | None
) -> None:
    (found,) = compared(cloud, lambda each: each.clear(), named(status))
    assert found.request == named(status)
    assert str(found) == f"network theirs ({ID}) is gone, after DELETE /v2.0/networks/{ID}"


@pytest.mark.parametrize("request_", [named(404), Request("PUT", "/x", frozenset({"x"}))])
def test_a_refused_request_and_one_that_names_another_are_not_the_cause(
    cloud: FakeCloud, request_: Request
) -> None:
    (found,) = compared(cloud, lambda each: each.clear(), request_)
    assert found.request is None


def test_a_role_assignment_is_named_by_all_of_its_ids() -> None:
    cloud = FakeCloud()
    given = {"role": {"id": "r"}, "group": {"id": "g"}, "scope": {"domain": {"id": "d"}}}
    cloud.of("role assignment").append(given)
    before = inventory.take(cloud, {"identity"})
    some, every = (Request("DELETE", "/x", frozenset(names)) for names in ("rg", "rgd"))
    (found,) = audit.compare(before, {}, [some])
    assert found.request is None
    (found,) = audit.compare(before, {}, [some, every])
    assert found.request == every


def test_findings_have_a_code_for_each_kind(cloud: FakeCloud, tmp_path: Path) -> None:
    cloud.add("network", name="other")
    altered, changed = compared(cloud, lambda each: each.clear(), named())
    left = list(inventory.take(FakeCloud(), SERVICES).values()) or [altered.resource]
    found = audit.findings([altered, changed], left)
    assert [each.code for each in found] == [
        Code.FOREIGN_ALTERED,
        Code.FOREIGN_CHANGED,
        Code.LEFT_BEHIND,
    ]
    assert ID in found[0].text
    assert "other" in found[1].text
    audit.write(tmp_path, [altered, changed], left)
    content = json.loads((tmp_path / audit.AUDIT).read_text())
    assert [each["request"] for each in content["differences"]] == [
        f"DELETE /v2.0/networks/{ID}",
        None,
    ]
    assert content["left"] == [{"kind": "network", "id": ID, "name": "theirs"}]


def test_a_finding_names_some_resources_and_the_file_with_all(cloud: FakeCloud) -> None:
    for number in range(audit.SHOWN):
        cloud.add("network", name=f"n{number}")
    (found,) = audit.findings(compared(cloud, lambda each: each.clear()), ())
    assert found.text.endswith("and 1 more, in audit.json")


def test_without_differences_there_are_no_findings() -> None:
    assert audit.findings((), ()) == []


@pytest.mark.parametrize("status", [403, 404])
def test_a_hidden_or_missing_kind_is_left_out(cloud: FakeCloud, status: int) -> None:
    cloud.statuses["network", "/networks"] = status
    assert inventory.take(cloud, SERVICES) == {}


def test_a_service_that_fails_is_an_error(cloud: FakeCloud) -> None:
    cloud.statuses["network", "/networks"] = 503
    with pytest.raises(InfrastructureError, match=r"/networks of network .* status 503"):
        inventory.take(cloud, SERVICES)


@pytest.mark.parametrize(
    "more",
    [
        {"networks_links": [{"rel": "previous", "href": "no"}, {"rel": "next", "href": "U"}]},
        {"next": "U"},
        {"links": {"next": "U"}},
    ],
    ids=str,
)
def test_all_pages_of_a_list_are_read(more: dict[str, Any]) -> None:
    url = "http://127.0.0.1/v2.0/networks?marker=1"
    text = json.dumps({"networks": [{"id": "1"}], **more}).replace('"U"', f'"{url}"')

    class Paged(FakeCloud):
        def call(self, service: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
            if path == "/networks":
                return 200, json.loads(text)
            if path == "/networks?marker=1":
                return 200, {"networks": [{"id": "2"}]}
            return super().call(service, method, path, body)

    found = inventory.take(Paged(), {"network"})
    assert [each.id for each in found.values()] == ["1", "2"]
