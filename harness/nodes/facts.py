# SPDX-License-Identifier: Apache-2.0
"""The properties of a node. Known failures can be limited to some of them.

``python -m bsdgate.harness.nodes.facts`` prints the properties of this machine as JSON.
"""

import json
import platform
import re
import shutil
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from bsdgate.harness import process
from bsdgate.harness.errors import InfrastructureError

ARCHITECTURES: Final[Mapping[str, str]] = {"x86_64": "amd64", "aarch64": "arm64"}
"""FreeBSD's names by the names of Linux (``uname -m``)."""

# Packages of the services, of the tests, and of clients and plugins.
_OURS: Final = re.compile(
    r"(?:^|[-_])(?:keystone|glance|placement|nova|neutron|ironic|tempest|rally|oslo)"
)
# poudriere's annotation of a package: the commit of the ports tree.
_COMMIT: Final = "ports_top_git_hash"
# The versions of FreeBSD: of the installed kernel (-k), of the running kernel (-r) and of the
# userland (-u); as a number (__FreeBSD_version) of the running kernel (-K) and the userland (-U).
_VERSIONS: Final[Mapping[str, str]] = {
    "freebsd_kernel": "freebsd-version -k",
    "freebsd_running_kernel": "freebsd-version -r",
    "freebsd_userland": "freebsd-version -u",
    "osreldate": "uname -K",
    "userland_osreldate": "uname -U",
}
# Not multiplied by the factor for slow nodes: pkg reads a small database in a second.
_PKG_TIMEOUT: Final = 60.0
_VERSIONS_TIMEOUT: Final = 60.0


def local() -> dict[str, str]:
    """Return the facts of this machine; those of FreeBSD and of its ports only on FreeBSD.

    ``utc_offset`` is the offset of local time, which the services use in logs, such as ``+0100``.
    """
    found = {
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "utc_offset": f"{datetime.now().astimezone():%z}",
    }
    if platform.system() == "FreeBSD":
        # Such as 15.1-RELEASE-p2.
        number, _, rest = platform.release().partition("-")
        found |= {"freebsd": number, "freebsd_branch": rest.partition("-")[0]}
        found |= _versions()
        found |= _ports()
    return found


def _versions() -> dict[str, str]:
    """Return the versions of the kernel and the userland, without those that are not known.

    A jail can have no kernel, so that ``freebsd-version -k`` fails.
    """
    script = "\n".join(f'echo "{name} $({line} 2>/dev/null)"' for name, line in _VERSIONS.items())
    text = process.output(["/bin/sh", "-c", script], timeout=_VERSIONS_TIMEOUT)
    pairs = (line.partition(" ") for line in text.splitlines())
    return {name: value for name, _, value in pairs if name in _VERSIONS and value}


def _ports() -> dict[str, str]:
    """Return the versions of our packages (``ports.py311-nova``), and their ports tree's commit.

    Return nothing without pkg or if pkg fails: known failures of a port do not apply then.
    """
    if shutil.which("pkg") is None:
        return {}
    try:
        rows, notes = _query("%n %v"), _query("%n %At %Av")
    except InfrastructureError:
        return {}
    found = {f"ports.{name}": version for name, version in rows}
    commits = {value for _, tag, value in notes if tag == _COMMIT}
    # Packages from several ports trees have several commits.
    return found | ({"ports": commits.pop()} if len(commits) == 1 else {})


def _query(form: str) -> list[list[str]]:
    """Return these columns of pkg for each of our packages; the first column is the name."""
    text = process.output(["pkg", "query", form], timeout=_PKG_TIMEOUT)
    rows = [line.split(" ") for line in text.splitlines()]
    return [row for row in rows if len(row) == form.count("%") and _OURS.search(row[0])]


if __name__ == "__main__":
    json.dump(local(), sys.stdout)
