# SPDX-License-Identifier: Apache-2.0
"""Commands on a Linux without what FreeBSD lacks: see ``likeness.py``."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from functional import likeness
from functional.likeness import Likeness, Record
from functional.place import ODD, Place

pytestmark = pytest.mark.timeout(300)

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
    assert [(each.refused, each.caller) for each in refused(like.take_records())] == [
        (path, "__main__")
    ]


def refused(records: list[Record]) -> list[Record]:
    return [each for each in records if each.refused is not None]
