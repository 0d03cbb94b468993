# SPDX-License-Identifier: Apache-2.0
"""bsdgate.harness.deployments.connection, by openstacksdk and a server that is not a cloud."""

import json
import threading
import warnings
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from bsdgate.harness.deployments import connection
from bsdgate.harness.deployments.connection import CloudConnection, Identity, RefusedError
from bsdgate.harness.errors import ConfigurationError, InfrastructureError, UsageError

with warnings.catch_warnings():
    # openstacksdk imports deprecated modules.
    warnings.simplefilter("ignore", DeprecationWarning)
    import openstack

pytestmark = pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")

USER = {"id": "u", "name": "admin", "domain": {"id": "d1", "name": "People"}}
PROJECT = {"id": "p", "name": "work", "domain": {"id": "d2", "name": "Teams"}}
TYPES = ("baremetal", "compute", "image")
TOKENS = "/v3/auth/tokens"


class Server(ThreadingHTTPServer):
    """Keystone, and services that answer each request with the path of the request.

    ``statuses`` replace the statuses of answers, by path. ``plain`` are paths with an answer that
    is not JSON. ``scopes`` are the refused scopes. ``requests`` are those that were received.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.statuses: dict[str, int] = {}
        self.plain: set[str] = set()
        self.scopes: set[str] = set()
        self.domains = True
        self.types = list(TYPES)
        self.requests: list[tuple[str, str, Mapping[str, str], bytes]] = []

    def token(self, body: bytes) -> tuple[int, Any]:
        """Return a status, and a token if it is granted."""
        scope = next(iter(json.loads(body)["auth"].get("scope", {})))
        if scope in self.scopes:
            return 401, None
        user, project = (
            one if self.domains else {**one, "domain": {"id": "d", "name": None}}
            for one in (USER, PROJECT)
        )
        token = {
            "methods": ["password"],
            "user": user,
            "roles": [{"id": "r", "name": "admin"}, {"id": "s", "name": scope}],
            "issued_at": "2026-01-01T00:00:00.000000Z",
            "expires_at": "2999-01-01T00:00:00.000000Z",
            "catalog": [self._entry(name) for name in self.types],
            **({"project": project} if scope == "project" else {"system": {"all": True}}),
        }
        return 201, {"token": token}

    def _entry(self, name: str) -> dict[str, Any]:
        endpoint = {"id": name, "interface": "public", "region": "R", "region_id": "R"}
        url = f"{self.url}/{name}/v1"
        return {"id": name, "type": name, "name": name, "endpoints": [{**endpoint, "url": url}]}

    def to(self, path: str) -> list[tuple[str, Mapping[str, str], bytes]]:
        """Return the method, the headers and the body of each request to a path."""
        return [(method, head, body) for method, each, head, body in self.requests if each == path]


class Handler(BaseHTTPRequestHandler):
    """Answers a request."""

    server: Server

    def answer(self) -> None:
        """Record the request, and answer it."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests.append((self.command, self.path, dict(self.headers), body))
        status, headers = 200, {}
        document: dict[str, Any] = {"path": self.path}
        if self.path == "/v3":
            document = {"version": {"id": "v3.14", "status": "stable", "links": [self._link()]}}
        elif self.path == TOKENS:
            status, document = self.server.token(body)
            headers = {"X-Subject-Token": f"token-{len(self.server.requests)}"}
        status = self.server.statuses.get(self.path, status)
        content = b"plain" if self.path in self.server.plain else json.dumps(document).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_DELETE = do_GET = do_POST = do_PUT = answer  # noqa: N815 - the names in the standard library

    def _link(self) -> dict[str, str]:
        return {"rel": "self", "href": f"{self.server.url}/v3"}

    def log_message(self, *_: Any) -> None:
        """Write nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def clouds_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "clouds.yaml"
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(path))
    monkeypatch.chdir(tmp_path)
    return path


@pytest.fixture
def cloud(server: Server, clouds_yaml: Path) -> Iterator[CloudConnection]:
    auth = {
        "auth_url": f"{server.url}/v3",
        "username": "admin",
        "password": "secret",
        "project_name": "work",
        "user_domain_name": "People",
        "project_domain_name": "Teams",
    }
    write(clouds_yaml, {"theirs": {"auth": auth, "region_name": "R"}})
    cloud = CloudConnection("theirs")
    yield cloud
    cloud.close()


def write(path: Path, clouds: Any) -> None:
    path.write_text(yaml.safe_dump({"clouds": clouds}))


def unanswered(server: Server) -> None:
    """Let the server answer no further request."""
    server.shutdown()
    server.server_close()


# The entry of clouds.yaml -------------------------------------------------------------------

AUTH = {"auth_url": "http://x/v3", "username": "u", "password": "p", "project_name": "q"}


def test_an_entry_has_its_fields_and_the_url_of_keystone(clouds_yaml: Path) -> None:
    write(clouds_yaml, {"theirs": {"auth": AUTH, "region_name": "R"}})
    found = connection.entry("theirs")
    assert (found.name, found.auth_url) == ("theirs", "http://x/v3")
    assert found.content["auth"] == AUTH
    assert found.content["region_name"] == "R"


def test_the_password_may_be_in_secure_yaml(
    clouds_yaml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secure = clouds_yaml.with_name("secure.yaml")
    monkeypatch.setenv("OS_CLIENT_SECURE_FILE", str(secure))
    write(clouds_yaml, {"theirs": {"auth": {**AUTH, "password": None}}})
    write(secure, {"theirs": {"auth": {"password": "secret"}}})
    found = connection.entry("theirs")
    assert found.content["auth"] == {**AUTH, "password": "secret"}
    # No subclass of dict, which YAML could not write.
    assert yaml.safe_load(yaml.safe_dump(dict(found.content))) == found.content


def test_without_a_file_no_cloud_is_known(clouds_yaml: Path) -> None:
    with pytest.raises(UsageError, match="no such file could be read") as caught:
        connection.entry("theirs")
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("known: none")
    assert not clouds_yaml.exists()


def test_an_unknown_name_is_refused_with_the_known_names(clouds_yaml: Path) -> None:
    write(clouds_yaml, {"two": {"auth": AUTH}, "one": {"auth": AUTH}})
    with pytest.raises(UsageError, match=f"no cloud 'theirs' in {clouds_yaml}") as caught:
        connection.entry("theirs")
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("known: one, two;")


@pytest.mark.parametrize("missing", sorted(AUTH))
def test_an_entry_without_a_field_is_refused(clouds_yaml: Path, missing: str) -> None:
    write(clouds_yaml, {"theirs": {"auth": {k: v for k, v in AUTH.items() if k != missing}}})
    with pytest.raises(UsageError, match=f"has no {missing} in auth"):
        connection.entry("theirs")


@pytest.mark.parametrize("content", [{}, {"auth": None}, {"auth": 5}, 7])
def test_an_entry_without_auth_is_refused(clouds_yaml: Path, content: Any) -> None:
    write(clouds_yaml, {"theirs": content})
    with pytest.raises(UsageError, match="has no auth_url, username, password, project_name"):
        connection.entry("theirs")


@pytest.mark.parametrize("content", ["clouds: 5\n", "5\n"])
def test_a_file_with_another_structure_is_refused(clouds_yaml: Path, content: str) -> None:
    clouds_yaml.write_text(content)
    with pytest.raises(ConfigurationError, match="clouds.yaml cannot be read"):
        connection.entry("theirs")


# Requests -----------------------------------------------------------------------------------


def test_the_roles_and_domains_are_those_of_a_new_token(
    cloud: CloudConnection, server: Server
) -> None:
    expected = Identity(frozenset({"admin", "project"}), "People", "Teams")
    assert [cloud.identify(), cloud.identify()] == [expected, expected]
    assert len(server.to(TOKENS)) == 2


def test_a_domain_without_a_name_is_the_default(cloud: CloudConnection, server: Server) -> None:
    server.domains = False
    assert cloud.identify() == Identity(frozenset({"admin", "project"}), "Default", "Default")


def test_refused_credentials_are_an_error_of_their_own(
    cloud: CloudConnection, server: Server
) -> None:
    server.scopes = {"project"}
    with pytest.raises(RefusedError, match="cloud 'theirs' refuses the credentials: Unauthorized"):
        cloud.identify()


def test_a_keystone_that_does_not_answer_is_an_error(
    cloud: CloudConnection, server: Server
) -> None:
    cloud.identify()
    unanswered(server)
    with pytest.raises(InfrastructureError, match="Keystone of the cloud 'theirs'") as caught:
        cloud.identify()
    assert not isinstance(caught.value, RefusedError)


def test_the_services_are_those_of_the_catalogue(cloud: CloudConnection, server: Server) -> None:
    server.types = ["image"]
    assert (cloud.has("image"), cloud.has("baremetal")) == (True, False)


@pytest.mark.parametrize(("service", "versioned"), [("baremetal", True), ("image", False)])
def test_a_request_has_the_newest_microversion_if_there_are_any(
    cloud: CloudConnection, server: Server, service: str, versioned: bool
) -> None:
    path = f"/{service}/v1/things"
    assert cloud.call(service, "POST", "/things", {"a": 1}) == (200, {"path": path})
    ((method, headers, body),) = server.to(path)
    assert (method, json.loads(body)) == ("POST", {"a": 1})
    assert (headers.get("OpenStack-API-Version") == f"{service} latest") is versioned


def test_a_request_without_a_body_has_none(cloud: CloudConnection, server: Server) -> None:
    cloud.call("image", "GET", "/images")
    ((_, headers, body),) = server.to("/image/v1/images")
    assert (body, "Content-Type" in headers) == (b"", False)


def scopes(server: Server) -> list[str]:
    """Return the scopes of the tokens that were requested."""
    return [next(iter(json.loads(body)["auth"]["scope"])) for _, _, body in server.to(TOKENS)]


def test_ironic_is_asked_with_system_scope(cloud: CloudConnection, server: Server) -> None:
    for _ in range(2):
        assert cloud.call("baremetal", "GET", "/nodes")[0] == 200
    assert scopes(server) == ["system"]
    assert server.to("/baremetal/v1/nodes")[0][1]["OpenStack-API-Version"] == "baremetal latest"


def test_ironic_is_asked_with_project_scope_if_the_system_is_refused(
    cloud: CloudConnection, server: Server
) -> None:
    server.scopes = {"system"}
    assert cloud.call("baremetal", "GET", "/nodes")[0] == 200
    assert set(scopes(server)) == {"system", "project"}


def test_an_answer_that_is_no_json_has_no_document(cloud: CloudConnection, server: Server) -> None:
    server.plain.add("/image/v1/images/i")
    server.statuses["/image/v1/images/i"] = 404
    assert cloud.call("image", "DELETE", "/images/i") == (404, None)


def test_a_service_that_refuses_the_token_is_an_error(
    cloud: CloudConnection, server: Server
) -> None:
    server.statuses["/image/v1/images"] = 401
    with pytest.raises(RefusedError, match="image answers 401"):
        cloud.call("image", "GET", "/images")


def test_credentials_refused_at_a_request_are_an_error(
    cloud: CloudConnection, server: Server
) -> None:
    server.scopes = {"project"}
    with pytest.raises(RefusedError, match="cloud 'theirs' refuses the credentials: Unauthorized"):
        cloud.call("image", "GET", "/images")


def test_a_service_that_does_not_answer_is_an_error(cloud: CloudConnection, server: Server) -> None:
    cloud.call("image", "GET", "/images")
    unanswered(server)
    with pytest.raises(InfrastructureError, match="service image of the cloud 'theirs'"):
        cloud.call("image", "GET", "/images")


def test_an_image_is_uploaded_as_bytes(cloud: CloudConnection, server: Server) -> None:
    server.statuses["/image/v1/images/i/file"] = 204
    cloud.upload("i", b"\0\1")
    ((method, headers, body),) = server.to("/image/v1/images/i/file")
    assert (method, body) == ("PUT", b"\0\1")
    assert headers["Content-Type"] == "application/octet-stream"


def test_a_refused_upload_is_an_error(cloud: CloudConnection, server: Server) -> None:
    server.statuses["/image/v1/images/i/file"] = 413
    with pytest.raises(InfrastructureError, match="refuses the content of the image i: status 413"):
        cloud.upload("i", b"\0\1")


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the connections of openstacksdk that were closed."""
    found: list[Any] = []

    def close(self: Any) -> None:
        found.append(self)

    monkeypatch.setattr(openstack.connection.Connection, "close", close)
    return found


def test_the_connections_of_both_scopes_are_closed(
    cloud: CloudConnection, closed: list[Any]
) -> None:
    cloud.call("image", "GET", "/images")
    cloud.call("baremetal", "GET", "/nodes")
    cloud.close()
    assert len({id(each) for each in closed}) == 2


def test_one_connection_for_both_scopes_is_closed_once(
    cloud: CloudConnection, server: Server, closed: list[Any]
) -> None:
    server.scopes = {"system"}
    cloud.call("baremetal", "GET", "/nodes")
    cloud.close()
    assert len(closed) == 1
