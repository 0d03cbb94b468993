# SPDX-License-Identifier: Apache-2.0
"""The seed of a guest: an ISO image that the guest reads at its first boot.

The format is NoCloud. The seed has only keys that nuageinit of FreeBSD supports. nuageinit supports
fewer keys than cloud-init: see nuageinit(7).
"""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pycdlib import PyCdlib

from bsdgate.harness import files

LABEL: Final = "cidata"
"""The volume label of the seed. The guest finds the seed by this label."""

_NAMES: Final[Mapping[str, str]] = {
    "meta-data": "/META.;1",
    "user-data": "/USER.;1",
    "network-config": "/NETWORK.;1",
}


@dataclass(frozen=True)
class Seed:
    """The configuration of a guest: its host name, its user with a public key, its network card.

    ``instance`` is the instance id, which is unique; ``mac`` is the address of the network card.
    """

    hostname: str
    instance: str
    user: str
    key: str
    mac: str

    def documents(self) -> dict[str, str]:
        """Return the files by name. JSON is valid YAML, in which all strings are quoted."""
        return {
            "meta-data": json.dumps(
                {"instance-id": self.instance, "local-hostname": self.hostname}, indent=1
            ),
            # The first line names the format.
            "user-data": f"#cloud-config\n{json.dumps(self._user_data(), indent=1)}\n",
            "network-config": json.dumps(self._network(), indent=1),
        }

    def _user_data(self) -> dict[str, Any]:
        user = {
            "name": self.user,
            "homedir": f"/home/{self.user}",
            "shell": "/bin/sh",
            "groups": "wheel",
            "sudo": "ALL=(ALL) NOPASSWD:ALL",
            "doas": "permit nopass %u",
            "ssh_authorized_keys": [self.key],
        }
        return {
            "hostname": self.hostname,
            "ssh_pwauth": False,
            "users": [user],
            # nuageinit only writes the name to a file, which FreeBSD reads at the next boot.
            "runcmd": [f"hostname {self.hostname}"],
            "write_files": [_no_upgrade("freebsd_update"), _no_upgrade("pkg_upgrade")],
        }

    def _network(self) -> dict[str, Any]:
        card = {"match": {"macaddress": self.mac}, "dhcp4": True}
        return {"version": 2, "ethernets": {"id0": card}}


def _no_upgrade(name: str) -> dict[str, str]:
    """Return a file that disables an upgrade at the first boot.

    The upgrade would change the system under test.
    """
    return {
        "path": f"/etc/rc.conf.d/firstboot_{name}",
        "content": f'firstboot_{name}_enable="NO"\n',
    }


def write(path: Path, seed: Seed) -> None:
    """Write the ISO image of a seed to a file that only its owner can read."""
    iso = PyCdlib()
    iso.new(vol_ident=LABEL, joliet=3, rock_ridge="1.09")
    for name, text in seed.documents().items():
        content = text.encode()
        iso.add_fp(
            io.BytesIO(content), len(content), _NAMES[name], rr_name=name, joliet_path=f"/{name}"
        )
    made = io.BytesIO()
    iso.write_fp(made)
    iso.close()
    files.write_atomically(path, made.getvalue())
