# SPDX-License-Identifier: Apache-2.0
"""Runs on a Linux without what FreeBSD lacks: see ``likeness.py``."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from functional import likeness
from functional.likeness import Likeness, Record
from functional.place import ODD, Place
from functional.run_folder import FEW, KEYSTONE, TWO, runs

pytestmark = pytest.mark.timeout(300)

PROFILE = Path(__file__).parent / "profiles" / "identity-and-network.yaml"
SMOKE = (
    r"^tempest\.api\.(identity|network)\."
    r"(?!test_routers|test_networks\.Bulk|test_ports\.PortsIpV6)"
)
"""The smoke tests for identity and networks, except those that take most of the time."""

WITHOUT = {
    ("keystoneauth1._utils", "/proc/version"),
    ("oslo_utils.netutils", "/proc/net/ipv6_route"),
    ("oslo_utils.netutils", "/proc/net/route"),
    ("prometheus_client.process_collector", "/proc/stat"),
    ("pyroute2.netlink.rtnl.tcmsg.common", "/proc/net/psched"),
}
"""The modules that try to open a file, and handle the error: they work without it on FreeBSD."""

BIND = """
import socket
with socket.socket() as probe:
    probe.bind(({address!r}, 0))
"""
LOOK = """
import os, resource, select, signal, socket
names = {
    os: "getrandom getxattr O_TMPFILE P_PIDFD pidfd_open setxattr splice",
    resource: "prlimit",
    select: "epoll EPOLLIN",
    signal: "pidfd_send_signal SIGCLD SIGPOLL SIGPWR",
    socket: "AF_ALG AF_NETLINK AF_PACKET AF_VSOCK IP_TRANSPARENT SO_BINDTODEVICE SO_MARK "
    "SO_PEERCRED TCP_CORK TCP_USER_TIMEOUT",
}
print([name for module in names for name in names[module].split() if hasattr(module, name)])
"""
PSUTIL = """
import psutil
print(psutil.Process().cmdline()[0])
open({path!r}).close()
"""


@pytest.fixture(scope="module")
def like(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Likeness]:
    """Return a place with its own cache: databases are made there too."""
    if reason := likeness.why_impossible():
        pytest.skip(reason)
    root = tmp_path_factory.mktemp(f"like {ODD}")
    place = Place(root, root / "cache")
    yield Likeness(place)
    place.close()


# The environment ------------------------------------------------------------------------------


def test_only_one_address_of_loopback_is_there(like: Likeness) -> None:
    assert like.python(BIND.format(address="127.0.0.1")).code == 0
    refused = like.python(BIND.format(address="127.0.0.2"))
    assert "Cannot assign requested address" in refused.text, refused


def test_files_are_read_only_and_the_temporary_directory_is_private(like: Likeness) -> None:
    outside = like.run("touch", __file__)
    assert "Read-only file system" in outside.text, outside
    mine = like.place.root / "mine"
    assert like.run("sh", "-c", 'ls /sys && touch "$1" /tmp/mine', "sh", mine).text == ""
    assert mine.exists()
    assert not Path("/tmp/mine").exists()


@pytest.mark.parametrize("options", [(), ("-I", "-S")])
def test_python_lacks_what_it_lacks_on_freebsd(like: Likeness, options: tuple[str, ...]) -> None:
    done = like.python(LOOK, *options)
    assert done.text == "[]\n", done


@pytest.mark.parametrize("path", ["/proc/self/status", "/sys/kernel/mm", "/tmp/../proc/cpuinfo"])
def test_only_psutil_opens_files_of_proc(like: Likeness, path: str) -> None:
    like.take_records()
    done = like.python(PSUTIL.format(path=path))
    assert done.code == 1, done
    assert "bin/python" in done.text.splitlines()[0]
    assert f"FreeBSD has no such file: {path!r}" in done.text
    assert opened(like.take_records()) == {("__main__", path)}


def opened(records: list[Record]) -> set[tuple[str | None, str]]:
    """Return the paths that processes could not open, each with the module that tried it."""
    return {(each.caller, each.refused) for each in records if each.refused is not None}


# Runs -----------------------------------------------------------------------------------------


def test_identity_and_network_smoke_passes(like: Likeness) -> None:
    like.take_records()
    done = like.bsdgate("run", "--profile", PROFILE, "--tests", SMOKE)
    assert done.code == 0, done
    folder = runs(like.place)[-1]
    assert folder.verdict["result"] == "PASS"
    succeeded = [each["id"] for each in folder.verdict["cases"] if each["outcome"] == "success"]
    for area in ("identity", "network"):
        assert len([each for each in succeeded if each.startswith(f"tempest.api.{area}.")]) > 10
    records = like.take_records()
    assert opened(records) <= WITHOUT
    assert_changed(records)


def assert_changed(records: list[Record]) -> None:
    """Check that no process had a name that FreeBSD lacks, and that all kinds of them are there."""
    assert [each for each in records if each.present] == []
    services = {each.services for each in records}
    assert {("keystone",), ("neutron",)} <= services
    lines = [" ".join(each.argv) for each in records]
    for program in ("bsdgate run", "guard.py", "supervisor", "tempest", "hostchecks"):
        assert any(program in line for line in lines), program


def test_use_of_linux_in_a_service_fails_the_run(like: Likeness) -> None:
    created = "policy = self._assign_unique_id(self._normalize_dict(policy_body))"
    like.plant("keystone", "api/policy.py", created, "open('/proc/self/status').close()")
    like.take_records()
    done = like.bsdgate("run", *KEYSTONE, "--tests", FEW, *TWO)
    assert done.code == 1, done
    folder = runs(like.place)[-1]
    assert folder.verdict["result"] == "FAIL"
    log = (folder.path / "logs" / "services" / "keystone.log").read_text()
    assert "FreeBSD has no such file: '/proc/self/status'" in log
    assert opened(like.take_records()) - WITHOUT == {("keystone.api.policy", "/proc/self/status")}
