# SPDX-License-Identifier: Apache-2.0
"""Clouds with some of the services, such as Ironic alone."""

import base64
import configparser
import http.server
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import pytest

from bsdgate.harness import clouds_yaml
from bsdgate.harness.cloud import ironic, neutron, readiness, service
from bsdgate.harness.cloud.client import Cloud
from bsdgate.harness.cloud.spec import HOST, CloudSpec
from bsdgate.harness.errors import UsageError


class Basic(http.server.BaseHTTPRequestHandler):
    """Answers like Ironic if the request has the right password."""

    password = ""

    def do_GET(self) -> None:
        wanted = base64.b64encode(f"admin:{self.password}".encode()).decode()
        known = self.headers["Authorization"] == f"Basic {wanted}"
        self.send_response(200 if known else 401)
        self.end_headers()
        self.wfile.write(b'{"nodes": []}' if known else b"no")

    def log_message(self, *_args: object) -> None:
        """Write nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    with http.server.HTTPServer((HOST, 0), Basic) as server:
        threading.Thread(target=server.serve_forever).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture
def alone(tmp_path: Path, port: int) -> CloudSpec:
    """Return a cloud of Ironic alone, which answers on a port."""
    spec = CloudSpec.generate("alone", tmp_path / "alone", {"ironic": port}, {})
    Basic.password = spec.passwords["admin"]
    return spec


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore the environment after a service is configured."""
    for name in ("IRONIC_CONFIG_FILE", "OS_NEUTRON_CONFIG_DIR", "OS_NEUTRON_CONFIG_FILES"):
        monkeypatch.setenv(name, os.environ.get(name, ""))


def written(spec: CloudSpec, name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(spec.etc(name) / f"{name}.conf")
    return parser


def test_ironic_alone_checks_passwords_itself(alone: CloudSpec) -> None:
    ironic.configure(alone)
    made = written(alone, "ironic")
    assert made["DEFAULT"]["auth_strategy"] == "http_basic"
    assert made["DEFAULT"]["enabled_network_interfaces"] == "noop"
    assert not {"keystone_authtoken", "service_catalog", "neutron", "glance", "nova"} & set(made)
    users = Path(made["DEFAULT"]["http_basic_auth_user_file"])
    assert stat.S_IMODE(users.stat().st_mode) == 0o600
    name, _, hashed = users.read_text().strip().partition(":")
    assert name == "admin"
    assert bcrypt.checkpw(alone.passwords["admin"].encode(), hashed.encode())


def test_ironic_uses_keystone_and_no_absent_service(tmp_path: Path) -> None:
    spec = CloudSpec.generate("two", tmp_path, {"keystone": 1, "ironic": 2}, {})
    ironic.configure(spec)
    made = written(spec, "ironic")
    assert made["DEFAULT"]["auth_strategy"] == "keystone"
    assert {"keystone_authtoken", "service_catalog"} <= set(made)
    assert not {"neutron", "glance", "nova"} & set(made)


def test_neutron_uses_nova_and_placement_if_the_cloud_has_them(tmp_path: Path) -> None:
    ports = {"keystone": 1, "neutron": 2, "nova": 3}
    spec = CloudSpec.generate("three", tmp_path, ports, {})
    neutron.configure(spec)
    assert "nova" in written(spec, "neutron")
    assert "placement" not in written(spec, "neutron")


def test_a_cloud_without_keystone_is_ready_when_its_password_is_accepted(alone: CloudSpec) -> None:
    readiness.check(alone)
    Basic.password = "another"
    with pytest.raises(RuntimeError, match=r"/v1/nodes answered 401: no"):
        readiness.check(alone)


def test_a_client_of_ironic_alone_sends_a_password(alone: CloudSpec, tmp_path: Path) -> None:
    entry = alone.client_entry()
    assert entry["auth_type"] == "http_basic"
    assert entry["baremetal_endpoint_override"] == entry["auth"]["endpoint"]
    assert set(entry["auth"]) == {"endpoint", "username", "password"}
    file = tmp_path / "clouds.yaml"
    clouds_yaml.put(file, "alone", entry)
    clouds_yaml.drop(file, "alone", "http://127.0.0.1:1")
    assert "alone:" in file.read_text()
    clouds_yaml.drop(file, "alone", clouds_yaml.url_of(entry))
    assert "alone:" not in file.read_text()


def test_a_service_that_the_cloud_does_not_have_is_not_restarted(alone: CloudSpec) -> None:
    alone.save()
    with pytest.raises(UsageError, match="the cloud has no service 'nova'") as caught:
        Cloud(alone.directory).restart("nova")
    assert caught.value.hint == "choose one of ironic"


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (service.SERVICES, "server list"),
        (("keystone", "ironic"), "baremetal node list"),
        (("keystone",), "token issue"),
    ],
)
def test_the_example_command_uses_a_service_of_the_cloud(
    names: tuple[str, ...], words: str
) -> None:
    assert service.example(names) == words
