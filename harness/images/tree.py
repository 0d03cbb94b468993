# SPDX-License-Identifier: Apache-2.0
"""The layout of FreeBSD's release tree, as ``release/Makefile.mirrors`` of FreeBSD makes it.

Images of a release are in ``releases/VM-IMAGES/15.1-RELEASE/amd64/Latest``. A snapshot has a folder
for each date; ``Latest`` has links to the newest. The names in it have no date, but its list of
checksums has the names with the date.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from bsdgate.harness.images.model import Algorithm, Format, Release, Variant
from bsdgate.harness.images.versions import Version


@dataclass(frozen=True)
class Flavour:
    """A kind of image: its directory in the tree, and the images that are built of it."""

    folder: str
    formats: tuple[Format, ...]
    filesystems: tuple[str, ...]
    signed_as: str | None
    """The end of the name of its signed checksums; None: there are none."""


PLAIN: Final = "PLAIN"
"""The flavour without a name of its own."""

FLAVOURS: Final = MappingProxyType(
    {
        "BASIC-CLOUDINIT": Flavour("VM-IMAGES", (Format.QCOW2, Format.RAW), ("ufs", "zfs"), "vm"),
        PLAIN: Flavour("VM-IMAGES", (Format.QCOW2, Format.RAW), ("ufs", "zfs"), "vm"),
        "BASIC-CI": Flavour("CI-IMAGES", (Format.RAW,), ("ufs",), None),
    }
)

ARCHITECTURES: Final = MappingProxyType(
    {"amd64": ("amd64", "amd64"), "arm64": ("aarch64", "arm64-aarch64")}
)
"""For each architecture the name of its folder, and its part of the names of files."""

ALGORITHMS: Final[tuple[Algorithm, ...]] = ("sha512", "sha256")
"""The algorithms of the published checksums, the preferred one first."""

_PUBLISHED: Final = re.compile(
    r"FreeBSD-(?P<number>[\d.]+)-(?P<branch>[A-Z]+\d*)-(?P<architecture>amd64|arm64-aarch64)"
    r"(?:-(?P<flavour>BASIC-CLOUDINIT|BASIC-CI))?"
    r"(?:-(?P<before>ufs|zfs))?"
    r"(?:-(?P<date>\d{8})-(?P<revision>[0-9a-f]{7,40}-\d+))?"
    r"(?:-(?P<after>ufs|zfs))?"
    r"\.(?P<format>qcow2|raw)\.xz"
)


def parent(version: Version, variant: Variant) -> str:
    """Return the path of the directory of all versions, relative to the root of the tree."""
    top = "snapshots" if version.is_snapshot else "releases"
    return f"{top}/{FLAVOURS[variant.flavour].folder}"


def folder(release: Release) -> str:
    """Return the path of an architecture of a version, relative to the root of the tree."""
    architecture, _ = ARCHITECTURES[release.variant.architecture]
    top = parent(release.version, release.variant)
    return f"{top}/{release.version.folder}/{architecture}"


def build_folder(release: Release) -> str:
    """Return the path of the newest build, or of the build of a date, relative to the root."""
    return f"{folder(release)}/{release.version.date or 'Latest'}"


def checksums(version: Version, algorithm: str) -> str:
    """Return the name of the list of checksums, in the folder of the build."""
    end = f"-{version.suffix}" if version.suffix else ""
    return f"CHECKSUM.{algorithm.upper()}{end}"


def signed_checksums(release: Release, algorithm: str) -> str | None:
    """Return the path of the signed checksums, from their root; None if there are none.

    For snapshots, betas and release candidates, they are only in announcements by mail.
    """
    end = FLAVOURS[release.variant.flavour].signed_as
    version = release.version
    if end is None or version.branch != "RELEASE":
        return None
    _, architecture = ARCHITECTURES[release.variant.architecture]
    name = f"CHECKSUM.{algorithm.upper()}-FreeBSD-{version.folder}-{architecture}-{end}.asc"
    return f"{version.number}R/checksums/{name}"


def published(name: str) -> Release | None:
    """Return the release of the image with this file name; None if it is not a known image.

    A file without the name of a file system is UFS: such names are older, or aliases.
    """
    match = _PUBLISHED.fullmatch(name)
    if match is None:
        return None
    architectures = {part: key for key, (_, part) in ARCHITECTURES.items()}
    version = Version(
        match["number"], match["branch"], match["date"] or "", match["revision"] or ""
    )
    variant = Variant(
        architecture=architectures[match["architecture"]],
        filesystem=match["before"] or match["after"] or "ufs",
        flavour=match["flavour"] or PLAIN,
        format=Format(match["format"]),
    )
    return Release(version, variant)


def choose(names: Iterable[str], asked: Release) -> tuple[str, Release] | None:
    """Return the file name and the release of the requested image; None if there is none.

    Choose the newest of several builds, and of two names of one image the one with a file system.
    """
    found = [
        (name, release)
        for name in names
        if (release := published(name)) is not None and _is_asked(release, asked)
    ]
    return max(found, key=lambda each: (each[1].version.date, len(each[0])), default=None)


def _is_asked(release: Release, asked: Release) -> bool:
    version = release.version
    if not asked.version.date:
        version = replace(version, date="", revision="")
    elif not asked.version.revision:
        version = replace(version, revision="")
    return version == asked.version and release.variant == asked.variant
