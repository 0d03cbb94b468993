# SPDX-License-Identifier: Apache-2.0
"""The properties of a node. Known failures can be limited to some of them.

``python -m bsdgate.harness.nodes.facts`` prints those of the machine that it runs on, as JSON.
"""

import json
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from bsdgate.harness import process
from bsdgate.harness.errors import InfrastructureError

ARCHITECTURES: Final[Mapping[str, str]] = {"x86_64": "amd64", "aarch64": "arm64"}
"""FreeBSD's names for what Linux calls otherwise (``uname -m``)."""

# Packages of the services, of what they are tested by, and of their clients and plugins.
_OURS: Final = re.compile(
    r"(?:^|[-_])(?:keystone|glance|placement|nova|neutron|ironic|tempest|rally|oslo)"
)
# What poudriere notes in a package: the commit of the ports tree that it was built from.
_COMMIT: Final = "ports_top_git_hash"
_PKG_TIMEOUT: Final = 60.0


def local() -> dict[str, str]:
    """Return the facts of this machine; those of FreeBSD (``freebsd``, ports) only where it is.

    ``utc_offset`` is that of the local time, in which the services write their logs: ``+0100``.
    """
    found = {
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "utc_offset": f"{datetime.now().astimezone():%z}",
    }
    if platform.system() == "FreeBSD":
        found["freebsd"] = platform.release().partition("-")[0]
        found |= _ports()
    return found


def _ports() -> dict[str, str]:
    """Return the version of each of our packages, ``ports.py311-nova``, and their one commit.

    Nothing without pkg, or if it fails: then no known failure is excused by a port.
    """
    if shutil.which("pkg") is None:
        return {}
    try:
        rows, notes = _query("%n %v"), _query("%n %At %Av")
    except InfrastructureError:
        return {}
    found = {f"ports.{name}": version for name, version in rows}
    commits = {value for _, tag, value in notes if tag == _COMMIT}
    # Packages of several trees have no commit in common.
    return found | ({"ports": commits.pop()} if len(commits) == 1 else {})


def _query(form: str) -> list[list[str]]:
    """Ask pkg for these columns, the package's name first, of each package that is ours."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "packages"
        command = ["pkg", "query", form]
        log = output.with_suffix(".log")
        process.run(command, log=log, timeout=_PKG_TIMEOUT, cwd=Path(folder), stdout=output)
        rows = [line.split(" ") for line in output.read_text(errors="replace").splitlines()]
    return [row for row in rows if len(row) == form.count("%") and _OURS.search(row[0])]


if __name__ == "__main__":
    json.dump(local(), sys.stdout)
