# SPDX-License-Identifier: Apache-2.0
"""The values that the modules of images exchange: requests, locations, and kept images."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Literal

from bsdgate.harness.images.versions import Version

Algorithm = Literal["sha512", "sha256"]
"""The algorithms of published checksums."""


class Format(StrEnum):
    """The format of a disk image."""

    QCOW2 = "qcow2"
    RAW = "raw"


@dataclass(frozen=True)
class Variant:
    """The properties that select one of the images of a version."""

    architecture: str = "amd64"
    filesystem: str = "ufs"
    flavour: str = "BASIC-CLOUDINIT"
    format: Format = Format.QCOW2

    def __str__(self) -> str:
        return f"{self.flavour} {self.architecture} {self.filesystem} {self.format}"


@dataclass(frozen=True)
class Release:
    """One image of the release tree: its exact version, with the date of a snapshot."""

    version: Version
    variant: Variant

    def __str__(self) -> str:
        return f"{self.version} {self.variant}"


@dataclass(frozen=True)
class Digest:
    """A checksum of a file."""

    algorithm: Algorithm
    hex: str

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"


class Signature(StrEnum):
    """Whether the published checksums are signed, and whether the signature was checked."""

    GOOD = "good"
    """A key of the user's keyring has signed the checksum of this image."""
    UNCHECKED = "not checked"
    """FreeBSD publishes a signature; the user has given no keyring."""
    NOT_PUBLISHED = "none published"
    """FreeBSD publishes no signature beside an image of this kind."""


@dataclass(frozen=True)
class ImageRef:
    """An image and its location: a URL, or the path of a file.

    Without a ``digest``, no checksum of the file is known before it is read.
    """

    name: str
    location: str | Path
    digest: Digest | None = None
    release: Release | None = None
    signature: Signature = Signature.NOT_PUBLISHED

    @property
    def key(self) -> str:
        """The name in the cache: the digest of the file, or of its URL if no other is known."""
        if self.digest is not None:
            return f"{self.digest.algorithm}-{self.digest.hex[:32]}"
        return f"url-{hashlib.sha256(str(self.location).encode()).hexdigest()[:32]}"


@dataclass(frozen=True)
class Record:
    """The properties of an unpacked image, stored in ``image.json`` beside it."""

    name: str
    location: str
    published: Digest | None
    """The published checksum, with which the downloaded file agreed; None: there is none."""
    signature: Signature
    release: Release | None
    downloaded: Digest
    """The checksum of the downloaded file, which may be compressed."""
    sha256: str
    """The checksum of the unpacked image."""
    size: int
    """The size of the unpacked image; what it takes on the disk is less if it has holes."""
    format: Format
    fetched: datetime


@dataclass(frozen=True)
class Image:
    """A verified and unpacked image, ready to boot from; it must not be written to."""

    path: Path
    format: Format
    sha256: str
    name: str
    release: Release | None = None
