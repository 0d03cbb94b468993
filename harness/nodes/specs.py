# SPDX-License-Identifier: Apache-2.0
"""The value of ``--on``: a machine over ssh, a guest in QEMU, or a node of a Zuul build.

``qemu`` boots the default version of FreeBSD. In ``qemu:IMAGE`` the image is a version, a file or a
URL. ``qemu:@GUEST/SNAPSHOT`` starts a copy of a guest from one of its snapshots.
``zuul:NODE`` is a node in the inventory of a Zuul build.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bsdgate.harness.errors import UsageError
from bsdgate.harness.images.resolve import is_path, of_url
from bsdgate.harness.images.versions import Version
from bsdgate.harness.nodes.address import FORM, Address
from bsdgate.harness.nodes.qemu.names import check_guest_name, check_snapshot_name
from bsdgate.harness.nodes.zuul import ZUUL, ZuulSpec
from bsdgate.harness.profiles import matrix

QEMU: Final = "qemu"
FORMS: Final = f"{FORM}, qemu, qemu:VERSION, qemu:PATH, qemu:URL, qemu:@GUEST/SNAPSHOT or zuul:NODE"


@dataclass(frozen=True)
class SavedGuest:
    """A snapshot of a guest."""

    guest: str
    snapshot: str

    def __str__(self) -> str:
        """Return the part of ``--on`` after the colon."""
        return f"@{self.guest}/{self.snapshot}"


@dataclass(frozen=True)
class QemuSpec:
    """A guest in QEMU that is started from an image or from a snapshot of another guest.

    None is the default image.
    """

    image: str | SavedGuest | None = None

    def __str__(self) -> str:
        """Return the value of ``--on``."""
        return QEMU if self.image is None else f"{QEMU}:{self.image}"


LastingSpec = Address | QemuSpec
"""A node that a cloud can be kept on after the command."""
NodeSpec = LastingSpec | ZuulSpec
"""A node that ``--on`` can select."""

_OF_VERSION: Final[Mapping[str, str]] = {
    "freebsd_kernel": "installed kernel",
    "freebsd_running_kernel": "running kernel",
    "freebsd_userland": "userland",
}
"""The facts of a node that are versions of FreeBSD, each with its name in messages."""


def parse(on: str) -> NodeSpec:
    """Return the node that the value of ``--on`` selects.

    :raises UsageError: the value is not valid, or the image file does not exist.
    """
    kind, colon, image = on.partition(":")
    if kind == QEMU:
        return _qemu(on, image) if colon else QemuSpec()
    if kind == ZUUL:
        return _zuul(on, image)
    if "://" not in on:
        raise UsageError(f"--on {on}: this is not a node", f"give {FORMS}")
    return Address.parse(on)


def parse_lasting(on: str) -> LastingSpec:
    """Return the node that the value of ``--on`` selects, for a cloud that outlives the command.

    :raises UsageError: the value is not valid, or it is a node of a Zuul build.
    """
    spec = parse(on)
    if isinstance(spec, ZuulSpec):
        raise UsageError(
            f"--on {on}: a cloud cannot be kept on a node of a Zuul build, which Zuul removes",
            "hold the node with `bsdgate hold`, and connect to it by ssh",
        )
    return spec


def _zuul(on: str, node: str) -> ZuulSpec:
    if not node:
        raise UsageError(f"--on {on}: the name of the node is missing", f"give {FORMS}")
    return ZuulSpec(node)


def _qemu(on: str, image: str) -> QemuSpec:
    if not image:
        raise UsageError(f"--on {on}: the image is missing", f"give {FORMS}")
    if not image.startswith("@"):
        check_image(image)
        return QemuSpec(image)
    guest, _, snapshot = image.removeprefix("@").partition("/")
    check_guest_name(guest)
    check_snapshot_name(snapshot)
    return QemuSpec(SavedGuest(guest, snapshot))


def other_version(on: str, facts: Mapping[str, str]) -> str | None:
    """Return how a node with these facts differs from the version in the value of ``--on``.

    None: the node has this version, or ``on`` does not have one. Patch levels are not compared.
    """
    wanted = _version(parse(on))
    if wanted is None:
        return None
    if "freebsd" not in facts:
        return f"FreeBSD {wanted.folder} was requested, but the node runs {facts['system']}"
    found = [
        f"its {what} is {facts[name]}"
        for name, what in _OF_VERSION.items()
        if name in facts and not f"{facts[name]}-".startswith(f"{wanted.folder}-")
    ]
    return f"FreeBSD {wanted.folder} was requested, but {', '.join(found)}" if found else None


def _version(spec: NodeSpec) -> Version | None:
    """Return the version that a node must have; None if its image has no version in its name."""
    if not isinstance(spec, QemuSpec) or isinstance(spec.image, SavedGuest):
        return None
    image = spec.image or matrix.default()
    return None if "://" in image or is_path(image) else Version.parse(image)


def check_image(image: str) -> None:
    """Check the name of an image.

    :raises UsageError: the name is not a version, a URL or the path of a file.
    """
    if "://" in image:
        of_url(image)
    elif is_path(image):
        if not Path(image).expanduser().is_file():
            hint = f"correct the path, or give a version such as {matrix.default()}"
            raise UsageError(f"there is no file {image}", hint)
    else:
        Version.parse(image)
