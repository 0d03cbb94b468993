# SPDX-License-Identifier: Apache-2.0
"""The REST clients, against a local server."""

from typing import Any

import pytest
from tempest.lib import exceptions

from bsdgate.tempest_plugin.services.baremetal_client import BaremetalClient
from bsdgate.tempest_plugin.services.endpoints_client import Endpoint, EndpointsClient
from bsdgate.tempest_plugin.tests.identity import probes
from bsdgate.tempest_plugin.tests.identity.test_catalogue import problems


@pytest.fixture
def baremetal(auth: Any) -> BaremetalClient:
    return BaremetalClient(auth, "baremetal", "One")


@pytest.fixture
def endpoints(auth: Any) -> EndpointsClient:
    return EndpointsClient(auth, "identity", "One")


def test_node_is_created_at_the_microversion(api: Any, baremetal: BaremetalClient) -> None:
    api.answer("/v1/nodes", 201, {"uuid": "n"})
    assert baremetal.create_node(driver="fake-hardware")["uuid"] == "n"
    (request,) = api.requests
    assert (request.method, request.body) == ("POST", {"driver": "fake-hardware"})
    assert request.headers["X-OpenStack-Ironic-API-Version"] == BaremetalClient.MICROVERSION
    assert request.headers["X-Auth-Token"] == "a-token"


def test_fields_of_a_node_are_replaced(api: Any, baremetal: BaremetalClient) -> None:
    api.answer("/v1/nodes/n", 200, {"uuid": "n"})
    baremetal.update_node("n", maintenance=True, instance_info={})
    (request,) = api.requests
    assert (request.method, request.body) == (
        "PATCH",
        [
            {"op": "replace", "path": "/maintenance", "value": True},
            {"op": "replace", "path": "/instance_info", "value": {}},
        ],
    )


@pytest.mark.parametrize(
    ("path", "call"),
    [
        ("/v1/nodes/n/states/provision", ("set_node_provision_state", "n", "manage")),
        ("/v1/nodes/n/states/power", ("set_node_power_state", "n", "manage")),
    ],
)
def test_state_is_requested(
    api: Any, baremetal: BaremetalClient, path: str, call: tuple[str, str, str]
) -> None:
    method, *arguments = call
    api.answer(path, 202)
    assert getattr(baremetal, method)(*arguments) == {}
    assert api.requests[0].body == {"target": "manage"}


@pytest.mark.parametrize(
    ("status", "error"), [(404, exceptions.NotFound), (409, exceptions.Conflict)]
)
def test_error_status_is_raised(
    api: Any, baremetal: BaremetalClient, status: int, error: type[Exception]
) -> None:
    api.answer("/v1/nodes/n", status, {"error_message": "no"})
    with pytest.raises(error):
        baremetal.delete_node("n")


def test_unexpected_success_status_is_raised(api: Any, baremetal: BaremetalClient) -> None:
    api.answer("/v1/allocations/a", 200, {})
    with pytest.raises(exceptions.InvalidHttpSuccessCode):
        baremetal.delete_allocation("a")


def test_endpoints_are_those_of_the_region(api: Any, endpoints: EndpointsClient) -> None:
    assert endpoints.list_endpoints() == [
        Endpoint("baremetal", "public", api.url),
        Endpoint("image", "public", f"{api.url}/image/v2/"),
        Endpoint("image", "internal", f"{api.url}/inside"),
        Endpoint("metering", "public", f"{api.url}/metering"),
    ]


def test_url_of_a_request_has_the_version_once(api: Any, endpoints: EndpointsClient) -> None:
    assert probes.urls(endpoints) == {
        "baremetal": f"{api.url}/v1/nodes",
        "image": f"{api.url}/image/v2/images",
    }


def test_service_accepts_a_token_of_a_user_without_rights(
    api: Any, endpoints: EndpointsClient
) -> None:
    statuses = {"yes": 200, "forbidden": 403, "refused": 401, "keystone": 404}
    urls = {name: api.answer(f"/{name}", status) for name, status in statuses.items()}
    assert probes.accepting(endpoints, urls, "secret") == {"yes", "forbidden"}
    assert {request.headers["X-Auth-Token"] for request in api.requests} == {"secret"}


def test_another_status_is_an_error(api: Any, endpoints: EndpointsClient) -> None:
    with pytest.raises(AssertionError, match=r"\{'image': 503\}"):
        probes.accepting(endpoints, {"image": api.answer("/image", 503)}, "secret")


def links(href: str) -> dict[str, Any]:
    return {
        "id": "v1",
        "links": [{"rel": "describedby", "href": "http://docs"}, {"rel": "self", "href": href}],
    }


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda version: {"versions": [version]},
        lambda version: {"versions": {"values": [version]}},
        lambda version: {"version": version},
    ],
    ids=["list", "wrapped list", "one"],
)
@pytest.mark.parametrize("href", ["", "/v1/", "HERE/v1/"])
def test_version_document_without_problems(
    api: Any, endpoints: EndpointsClient, wrapped: Any, href: str
) -> None:
    url = api.answer("/", 300, wrapped(links(href.replace("HERE", api.url))))
    assert list(problems(endpoints, Endpoint("image", "public", url))) == []


@pytest.mark.parametrize(
    ("status", "document", "problem"),
    [
        (
            200,
            {"versions": [links("http://jail.example/v1/")]},
            "another server: http://jail.example/v1/",
        ),
        (200, {"versions": []}, "no link to a version"),
        (200, {"hello": "world"}, "no link to a version"),
        (503, {"versions": [links("")]}, "returns status 503"),
        (200, None, "Expecting value"),
    ],
)
def test_version_document_with_a_problem(
    api: Any, endpoints: EndpointsClient, status: int, document: object, problem: str
) -> None:
    url = api.answer("/", status, document)
    (found,) = problems(endpoints, Endpoint("image", "public", url))
    assert found.startswith(f"public image at {url}")
    assert problem in found


def test_service_that_does_not_listen_is_named(
    api: Any, endpoints: EndpointsClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The discard port: no server listens there.
    nowhere = Endpoint("image", "internal", "http://127.0.0.1:9")
    (found,) = problems(endpoints, nowhere)
    assert found.startswith("internal image at http://127.0.0.1:9: ")
