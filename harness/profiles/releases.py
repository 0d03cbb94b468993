# SPDX-License-Identifier: Apache-2.0
"""The OpenStack releases: a constraints file for each, with versions and hashes of packages."""

from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

_FOLDER = Path(__file__).parent.parent / "releases"


def names() -> list[str]:
    """Return the releases that have a constraints file."""
    return sorted(path.stem for path in _FOLDER.glob("*.txt"))


def constraints(release: str) -> Path:
    """Return the constraints file of a release."""
    return _FOLDER / f"{release}.txt"


def pins(release: str) -> dict[NormalizedName, Version]:
    """Return the packages of a release for this system, with their versions."""
    lines = constraints(release).read_text(encoding="utf-8").splitlines()
    # Hashes are on separate, indented lines.
    found = [Requirement(line.rstrip(" \\")) for line in lines if line and line[0].isalnum()]
    return {
        canonicalize_name(pin.name): Version(str(pin.specifier).removeprefix("=="))
        for pin in found
        if pin.marker is None or pin.marker.evaluate()
    }
