# SPDX-License-Identifier: Apache-2.0
"""bsdgate.harness.nodes.specs."""

from pathlib import Path

import pytest

from bsdgate.harness.errors import UsageError
from bsdgate.harness.nodes import specs
from bsdgate.harness.nodes.address import Address
from bsdgate.harness.nodes.specs import QemuSpec, SavedGuest
from bsdgate.harness.nodes.zuul import ZuulSpec

SHA512 = "0" * 128


@pytest.mark.parametrize(
    ("on", "spec"),
    [
        ("ssh://me@node:2222", Address("node", "me", 2222)),
        ("qemu", QemuSpec()),
        ("qemu:15.1", QemuSpec("15.1")),
        ("qemu:@one/ready", QemuSpec(SavedGuest("one", "ready"))),
        ("zuul:freebsd", ZuulSpec("freebsd")),
        ("qemu:16.0-CURRENT", QemuSpec("16.0-CURRENT")),
        ("qemu:https://mirror/a.qcow2.xz", QemuSpec("https://mirror/a.qcow2.xz")),
        (
            f"qemu:http://mirror/a.raw#sha512={SHA512}",
            QemuSpec(f"http://mirror/a.raw#sha512={SHA512}"),
        ),
    ],
)
def test_a_spec_has_the_text_from_which_it_was_parsed(on: str, spec: specs.NodeSpec) -> None:
    assert specs.parse(on) == spec
    assert str(spec) == on


def test_a_spec_can_have_the_path_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "own image.qcow2"
    file.touch()
    assert specs.parse(f"qemu:{file}") == QemuSpec(str(file))


@pytest.mark.parametrize(
    ("on", "message", "hint"),
    [
        ("qemu:", "the image is missing", "qemu:VERSION"),
        ("qemu:15", "is not a version", ""),
        ("qemu:/no/such.qcow2", "there is no file /no/such.qcow2", "correct the path"),
        ("qemu:other.raw", "there is no file other.raw", "correct the path"),
        ("qemu:ftp://mirror/a.raw", "is not the URL", "http://"),
        ("qemu:@one", "not a valid snapshot name", "letter first"),
        ("qemu:@../one/ready", "not a valid guest name", "lower-case letters"),
        ("zuul", "the name of the node is missing", "zuul:NODE"),
        ("zuul:", "the name of the node is missing", "zuul:NODE"),
        ("kvm", "this is not a node", "ssh://"),
        ("node", "this is not a node", "qemu"),
    ],
)
def test_a_value_that_is_not_valid_is_refused_with_the_next_step(
    on: str, message: str, hint: str
) -> None:
    with pytest.raises(UsageError, match=message) as error:
        specs.parse(on)
    assert hint in (error.value.hint or "")


# The version that was requested ---------------------------------------------------------------

FREEBSD = {
    "system": "FreeBSD 15.1-RELEASE-p1",
    "freebsd": "15.1",
    "freebsd_kernel": "15.1-RELEASE",
    "freebsd_running_kernel": "15.1-RELEASE-p1",
    "freebsd_userland": "15.1-RELEASE-p2",
}


@pytest.mark.parametrize(
    "on",
    [
        *("qemu", "qemu:15.1", "qemu:15.1-RELEASE"),
        *("ssh://host", "qemu:@one/ready", "qemu:https://mirror/16.0.raw"),
    ],
)
def test_a_node_with_the_requested_version_is_as_requested(on: str) -> None:
    assert specs.other_version(on, FREEBSD) is None


@pytest.mark.parametrize(
    ("on", "other", "said"),
    [
        ("qemu:15.2", {}, "15.2-RELEASE was requested, but its installed kernel is 15.1-RELEASE"),
        ("qemu:15.1-STABLE", {}, "its userland is 15.1-RELEASE-p2"),
        ("qemu", {"freebsd_userland": "15.2-RELEASE"}, "but its userland is 15.2-RELEASE"),
        (
            "qemu",
            {"freebsd_running_kernel": "15.10-RELEASE"},
            "its running kernel is 15.10-RELEASE",
        ),
    ],
)
def test_a_node_with_another_version_is_reported(on: str, other: dict[str, str], said: str) -> None:
    found = specs.other_version(on, FREEBSD | other)
    assert found is not None
    assert said in found


def test_a_node_that_is_not_freebsd_is_reported() -> None:
    found = specs.other_version("qemu:15.1", {"system": "Linux 6.1"})
    assert found == "FreeBSD 15.1-RELEASE was requested, but the node runs Linux 6.1"
