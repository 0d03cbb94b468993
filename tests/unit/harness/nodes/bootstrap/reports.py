# SPDX-License-Identifier: Apache-2.0
"""Reports of machines, as the probe finds them."""

import importlib.util
import sysconfig
from collections.abc import Mapping
from dataclasses import replace
from importlib import metadata
from typing import Any

from bsdgate.harness.nodes.bootstrap import packages
from bsdgate.harness.nodes.bootstrap.probe import Python, Report, Repository

VERSION = "3.11.12"
MAGIC = importlib.util.MAGIC_NUMBER.hex()
REPOSITORY = Repository("FreeBSD-ports", "pkg+https://pkg.example.org/quarterly", reachable=True)


def installed() -> dict[str, str]:
    """Return all packages of the system, in the versions of this environment."""
    own = {
        str(each.distribution): metadata.version(each.name)
        for each in packages.SYSTEM
        if each.name != packages.SQLITE
    }
    return {packages.SQLITE: "3.46.0", **own}


def python(found: Mapping[str, str] | None = None, **fields: Any) -> Python:
    """Return an interpreter on FreeBSD, by default with all packages."""
    platform = "freebsd-15.1-release-amd64"
    path = "/usr/local/bin/python3.11"
    made = Python(path, VERSION, MAGIC, platform, "none", installed() if found is None else found)
    return replace(made, **fields)


def freebsd(**fields: Any) -> Report:
    """Return a FreeBSD machine without Python. Its user becomes root by su."""
    report = Report(
        "FreeBSD",
        "15.1-RELEASE-p2",
        "amd64",
        "freebsd",
        "/home/freebsd/.cache/bsdgate",
        4000,
        1024,
        "su",
        "stub",
        repositories=(REPOSITORY,),
    )
    return replace(report, **fields)


def linux(**fields: Any) -> Report:
    """Return a machine like this one, with the Python of this process."""
    platform = sysconfig.get_platform()
    own = replace(python({}), platform=platform, libc="glibc-2.41")
    report = freebsd(system="Linux", release="6.12", architecture="x86_64", root=None, pkg=None)
    return replace(report, **{"repositories": (), "pythons": (own,), **fields})
