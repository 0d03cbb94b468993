# SPDX-License-Identifier: Apache-2.0
"""The layout of the release tree, with names that it has or had."""

import pytest

from bsdgate.harness.images import tree
from bsdgate.harness.images.model import Format, Release, Variant
from bsdgate.harness.images.versions import Version

RELEASE = Release(Version("15.1"), Variant())


def release(
    version: str,
    architecture: str = "amd64",
    filesystem: str = "ufs",
    flavour: str = "BASIC-CLOUDINIT",
    disk: Format = Format.QCOW2,
) -> Release:
    return Release(Version.parse(version), Variant(architecture, filesystem, flavour, disk))


@pytest.mark.parametrize(
    ("asked", "folder"),
    [
        (RELEASE, "releases/VM-IMAGES/15.1-RELEASE/amd64/Latest"),
        (
            release("15.1", architecture="arm64"),
            "releases/VM-IMAGES/15.1-RELEASE/aarch64/Latest",
        ),
        (
            release("15.1", flavour="BASIC-CI", disk=Format.RAW),
            "releases/CI-IMAGES/15.1-RELEASE/amd64/Latest",
        ),
        (release("15.2-RC1"), "releases/VM-IMAGES/15.2-RC1/amd64/Latest"),
        (release("16.0-CURRENT"), "snapshots/VM-IMAGES/16.0-CURRENT/amd64/Latest"),
        (release("15.0-STABLE-20251022"), "snapshots/VM-IMAGES/15.0-STABLE/amd64/20251022"),
    ],
)
def test_each_version_has_a_folder(asked: Release, folder: str) -> None:
    assert tree.build_folder(asked) == folder


def test_the_list_of_checksums_of_a_dated_build_has_its_date() -> None:
    assert tree.checksums(Version("15.1"), "sha512") == "CHECKSUM.SHA512"
    dated = Version("15.0", "STABLE", "20251022", "2427ae41b7cf-280773")
    assert tree.checksums(dated, "sha256") == "CHECKSUM.SHA256-20251022-2427ae41b7cf-280773"


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        (RELEASE, "15.1R/checksums/CHECKSUM.SHA512-FreeBSD-15.1-RELEASE-amd64-vm.asc"),
        (
            release("14.4", architecture="arm64"),
            "14.4R/checksums/CHECKSUM.SHA512-FreeBSD-14.4-RELEASE-arm64-aarch64-vm.asc",
        ),
        (release("15.2-RC1"), None),
        (release("16.0-CURRENT"), None),
        (release("15.1", flavour="BASIC-CI"), None),
    ],
)
def test_signed_checksums_are_published_for_releases(asked: Release, path: str | None) -> None:
    assert tree.signed_checksums(asked, "sha512") == path


DATED = "20251022-2427ae41b7cf-280773"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("FreeBSD-15.1-RELEASE-amd64-BASIC-CLOUDINIT-ufs.qcow2.xz", RELEASE),
        (
            "FreeBSD-15.1-RELEASE-amd64-zfs.raw.xz",
            release("15.1", flavour="PLAIN", filesystem="zfs", disk=Format.RAW),
        ),
        (
            "FreeBSD-14.4-RELEASE-arm64-aarch64-BASIC-CLOUDINIT.qcow2.xz",
            release("14.4", architecture="arm64"),
        ),
        (
            f"FreeBSD-15.0-STABLE-amd64-BASIC-CLOUDINIT-{DATED}-zfs.qcow2.xz",
            release(f"15.0-STABLE-{DATED}", filesystem="zfs"),
        ),
        (
            f"FreeBSD-15.0-STABLE-amd64-ufs-{DATED}.qcow2.xz",
            release(f"15.0-STABLE-{DATED}", flavour="PLAIN"),
        ),
        (
            "FreeBSD-15.1-RELEASE-amd64-BASIC-CI-ufs.raw.xz",
            release("15.1", flavour="BASIC-CI", disk=Format.RAW),
        ),
        ("FreeBSD-15.1-RELEASE-amd64-ufs.vhd.xz", None),
        ("FreeBSD-15.1-RELEASE-amd64-EC2-SMALL-ufs.raw.xz", None),
        ("FreeBSD-15.1-RELEASE-riscv-riscv64-ufs.raw.xz", None),
        ("CHECKSUM.SHA512", None),
    ],
)
def test_the_name_of_a_file_says_what_it_is(name: str, found: Release | None) -> None:
    assert tree.published(name) == found


def test_the_name_with_a_file_system_is_preferred_to_its_alias() -> None:
    names = [
        "FreeBSD-14.4-RELEASE-amd64-BASIC-CLOUDINIT.qcow2.xz",
        "FreeBSD-14.4-RELEASE-amd64-BASIC-CLOUDINIT-ufs.qcow2.xz",
        "FreeBSD-14.4-RELEASE-amd64-BASIC-CLOUDINIT-zfs.qcow2.xz",
    ]
    assert tree.choose(names, release("14.4")) == (names[1], release("14.4"))
    assert tree.choose(names[:1], release("14.4")) == (names[0], release("14.4"))
    assert tree.choose(names[:1], release("14.4", filesystem="zfs")) is None


def test_the_newest_build_of_a_snapshot_is_chosen_and_has_its_date() -> None:
    older = "FreeBSD-15.0-STABLE-amd64-BASIC-CLOUDINIT-20251015-9427ae41b7cf-280001-ufs.qcow2.xz"
    newer = f"FreeBSD-15.0-STABLE-amd64-BASIC-CLOUDINIT-{DATED}-ufs.qcow2.xz"
    exact = release(f"15.0-STABLE-{DATED}")
    assert tree.choose([newer, older], release("15.0-STABLE")) == (newer, exact)
    assert tree.choose([newer, older], release("15.0-STABLE-20251022")) == (newer, exact)
    assert tree.choose([newer, older], exact) == (newer, exact)
    assert tree.choose([newer, older], release("15.0-STABLE-20251023")) is None
    assert tree.choose([newer, older], release("15.1-STABLE")) is None


def test_every_flavour_has_a_format_and_a_file_system() -> None:
    for flavour in tree.FLAVOURS.values():
        assert set(flavour.formats) <= set(Format)
        assert flavour.filesystems
