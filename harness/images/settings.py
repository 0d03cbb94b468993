# SPDX-License-Identifier: Apache-2.0
"""The settings of images: their servers, the keyring for signatures, and the time limits."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

TREE: Final = "https://download.freebsd.org"
SIGNATURES: Final = "https://www.freebsd.org/releases"
DOWNLOAD_SECONDS: Final = 3600.0


@dataclass(frozen=True)
class Settings:
    """Where images and their signatures come from."""

    tree: str = TREE
    """The URL of FreeBSD's release tree, or of a mirror: the folder with ``releases``."""
    signatures: str = SIGNATURES
    """The URL of the folder with a folder ``15.1R`` for each release."""
    keyring: Path | None = None
    """The public keys that may sign checksums; None: signatures are not checked."""


@dataclass(frozen=True)
class Limits:
    """The time limits in seconds, and the number of tries."""

    connect: float = 15
    """Until a server has accepted a connection."""
    silence: float = 30
    """Without a byte from the server; then the download is continued on a new connection."""
    total: float = DOWNLOAD_SECONDS
    """The whole download, with all tries."""
    tries: int = 3
    """The maximum number of consecutive tries without a new byte."""
    pause: float = 1
    """Between two tries."""
