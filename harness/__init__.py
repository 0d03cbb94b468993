# SPDX-License-Identifier: Apache-2.0
"""The part that runs nodes, clouds and tests; bsdgate.results judges the results."""

from importlib import metadata


def version() -> str:
    """Return the version of bsdgate; ``0+checkout`` if bsdgate is not installed."""
    try:
        return metadata.version("bsdgate")
    except metadata.PackageNotFoundError:
        return "0+checkout"
