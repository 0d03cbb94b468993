# SPDX-License-Identifier: Apache-2.0
"""What runs things: nodes, clouds, tests. Judging what came of it is bsdgate.results' part."""

from importlib import metadata


def version() -> str:
    """Return the version of bsdgate as installed, ``0+checkout`` where it only lies on the path."""
    try:
        return metadata.version("bsdgate")
    except metadata.PackageNotFoundError:
        return "0+checkout"
