# SPDX-License-Identifier: Apache-2.0
"""bsdgate.harness.nodes.qemu.seed."""

import io
from pathlib import Path
from typing import Any

import pytest
import yaml
from pycdlib import PyCdlib

from bsdgate.harness.nodes.qemu import seed as seeds
from bsdgate.harness.nodes.qemu.seed import Seed

SEED = Seed("guest-1", "guest-1-ab12", "freebsd", "ssh-ed25519 AAAA guest-1", "52:54:00:0a:0b:0c")
# The keys in nuageinit(7) of FreeBSD 15.
SUPPORTED = {
    "fqdn",
    "hostname",
    "timezone",
    "groups",
    "ssh_keys",
    "ssh_authorized_keys",
    "ssh_pwauth",
    "network",
    "runcmd",
    "packages",
    "package_update",
    "package_upgrade",
    "users",
    "chpasswd",
    "write_files",
}


@pytest.fixture
def read(tmp_path: Path) -> dict[str, str]:
    """Return the files in the image of a seed, found by label and name like in a guest."""
    path = tmp_path / "seed.iso"
    seeds.write(path, SEED)
    iso = PyCdlib()
    iso.open(str(path))
    assert iso.pvd.volume_identifier.rstrip() == b"cidata"
    found = {}
    for name in ("meta-data", "user-data", "network-config"):
        content = io.BytesIO()
        iso.get_file_from_iso_fp(content, rr_path=f"/{name}")
        found[name] = content.getvalue().decode()
    iso.close()
    return found


def user_data(read: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(read["user-data"])
    return found


def test_the_first_line_names_the_format(
    read: dict[str, str],
) -> None:
    assert read["user-data"].partition("\n")[0] == "#cloud-config"


def test_the_guest_has_its_name_and_a_user_with_the_key(read: dict[str, str]) -> None:
    meta = yaml.safe_load(read["meta-data"])
    assert meta == {"instance-id": "guest-1-ab12", "local-hostname": "guest-1"}
    assert user_data(read)["runcmd"] == ["hostname guest-1"]
    (user,) = user_data(read)["users"]
    assert user["name"] == "freebsd"
    assert user["ssh_authorized_keys"] == [SEED.key]


def test_password_logins_are_disabled(read: dict[str, str]) -> None:
    assert user_data(read)["ssh_pwauth"] is False
    assert "passw" not in read["user-data"]


def test_only_keys_that_nuageinit_supports_are_used(read: dict[str, str]) -> None:
    assert set(user_data(read)) <= SUPPORTED


def test_upgrades_at_the_first_boot_are_disabled(read: dict[str, str]) -> None:
    files = {each["path"]: each["content"] for each in user_data(read)["write_files"]}
    assert files["/etc/rc.conf.d/firstboot_pkg_upgrade"] == 'firstboot_pkg_upgrade_enable="NO"\n'
    assert "/etc/rc.conf.d/firstboot_freebsd_update" in files


def test_the_network_card_is_identified_by_its_mac_address(read: dict[str, str]) -> None:
    network = yaml.safe_load(read["network-config"])
    assert network["ethernets"]["id0"] == {"match": {"macaddress": SEED.mac}, "dhcp4": True}
