# SPDX-License-Identifier: Apache-2.0
"""Finds the image that a user names: a version of FreeBSD, a URL, or the path of a file.

An image of an exact version (a release, or a dated snapshot) never changes, so if it is in the
cache, no server is asked.
"""

import os
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from bsdgate.harness.errors import InfrastructureError, UsageError
from bsdgate.harness.images import checksums, index, signature, tree
from bsdgate.harness.images.cache import Cache
from bsdgate.harness.images.client import Client, NotFound, shown
from bsdgate.harness.images.model import (
    Algorithm,
    Digest,
    ImageRef,
    Release,
    Signature,
    Variant,
)
from bsdgate.harness.images.settings import Settings
from bsdgate.harness.images.versions import Version, folders_of_versions, nearest

STAGE: Final = "resolve"
LIST: Final = "list of checksums"

_SUFFIXES: Final = frozenset({".qcow2", ".raw", ".img", ".xz"})


class Resolver:
    """Finds images in the cache and in the release tree."""

    def __init__(self, settings: Settings, cache: Cache, client: Client) -> None:
        """Ask no server yet."""
        self._settings = settings
        self._root = settings.tree.rstrip("/")
        self._cache = cache
        self._client = client

    def resolve(self, text: str, variant: Variant) -> ImageRef:
        """Return the image that is named by a version, by ``http(s)://``, or by a path.

        ``variant`` is for versions only.

        :raises UsageError: the name is wrong, or there is no such image.
        :raises InfrastructureError: the server cannot be reached, or has a damaged list.
        """
        if "://" in text:
            return of_url(text)
        if is_path(text):
            return _of_file(Path(text).expanduser())
        release = Release(Version.parse(text), variant)
        _check_variant(variant)
        return self._cached(release) or self._published(release)

    def versions(self, variant: Variant) -> list[Version]:
        """Return the versions in the release tree, of releases and of snapshots."""
        found: list[Version] = []
        missing: NotFound | None = None
        for branch in ("RELEASE", "STABLE"):
            try:
                names = self._names(tree.parent(Version("0.0", branch), variant))
                found += folders_of_versions(names)
            except NotFound as error:
                # A mirror may have only one of them.
                missing = error
        if missing is not None and not found:
            raise missing
        return found

    def _cached(self, release: Release) -> ImageRef | None:
        """Return the image if it is in the cache; with a keyring, its signature must be checked."""
        for entry in self._cache.entries() if release.version.is_exact else ():
            record = entry.record
            if record is None or record.release != release or entry.image is None:
                continue
            if record.signature is Signature.UNCHECKED and self._settings.keyring:
                continue
            name = f"{record.name}.xz"
            digest = record.published
            return ImageRef(name, record.location, digest, release, record.signature)
        return None

    def _published(self, release: Release) -> ImageRef:
        try:
            url, listed = self._list(release)
        except NotFound as error:
            raise self._unknown(release) from error
        except InfrastructureError as error:
            raise self._with_cached(error, release) from error
        chosen = tree.choose(listed, release)
        if chosen is None:
            raise _not_listed(url, release, listed)
        name, exact = chosen
        return ImageRef(
            name,
            f"{self._root}/{tree.build_folder(exact)}/{name}",
            listed[name],
            exact,
            self._signature(exact, name, listed[name]),
        )

    def _signature(self, release: Release, name: str, digest: Digest) -> Signature:
        site, keyring = self._settings.signatures, self._settings.keyring
        return signature.check(self._client, site, keyring, release, (name, digest))

    def _list(self, release: Release) -> tuple[str, dict[str, Digest]]:
        """Return the URL and the content of the list of checksums.

        :raises NotFound: the release tree has none.
        """
        folder = tree.build_folder(release)
        missing: NotFound | None = None
        for algorithm in tree.ALGORITHMS:
            url = f"{self._root}/{folder}/{self._list_name(release, algorithm)}"
            try:
                return url, checksums.parse(self._client.text(url, LIST))
            except NotFound as error:
                missing = error
        assert missing is not None
        raise missing

    def _list_name(self, release: Release, algorithm: Algorithm) -> str:
        """Return the name of the list; that of a date without a revision is in the index."""
        name = tree.checksums(release.version, algorithm)
        if not release.version.date or release.version.revision:
            return name
        names = self._names(tree.build_folder(release))
        return next((each for each in names if each.startswith(f"{name}-")), name)

    def _names(self, folder: str) -> list[str]:
        """Return the names in a folder of the release tree."""
        return index.names(self._client.text(f"{self._root}/{folder}/", "index"))

    def _unknown(self, release: Release) -> UsageError:
        """Return an error about a version that is not in the release tree, with the nearest one."""
        version = release.version
        url = f"{self._root}/{tree.build_folder(release)}"
        parent = tree.parent(version, release.variant)
        known = [each.folder for each in folders_of_versions(self._names_if_any(parent))]
        close = nearest(version.folder, known)
        if version.date and version.folder in known:
            names = self._names_if_any(tree.folder(release))
            dates = [int(name) for name in names if name.isdecimal()]
            near = min(dates, key=lambda date: abs(date - int(version.date)), default="Latest")
            close = f"{version.folder}-{near}"
        hint = f"the nearest is {close}" if close else f"look into {self._root}"
        return UsageError(f"{STAGE}: the release tree has no {version}: {shown(url)}", hint)

    def _names_if_any(self, folder: str) -> list[str]:
        try:
            return self._names(folder)
        except InfrastructureError:
            return []

    def _with_cached(self, error: InfrastructureError, release: Release) -> InfrastructureError:
        """Return the error, with the builds of a snapshot that are in the cache."""
        records = [entry.record for entry in self._cache.entries() if entry.record is not None]
        found = [
            str(record.release.version)
            for record in records
            if record.release is not None
            and record.release.variant == release.variant
            and record.release.version.folder == release.version.folder
        ]
        if not found:
            return error
        return type(error)(error.message, f"{error.hint}; in the cache is {', '.join(found)}")


def is_path(text: str) -> bool:
    """Return whether the name of an image is a path: it has a slash or the suffix of an image."""
    return "/" in text or Path(text).suffix in _SUFFIXES


def of_url(text: str) -> ImageRef:
    """Return the image at a URL; its fragment may be the checksum: ``#sha512=DIGITS``."""
    parts = urlsplit(text)
    url = parts._replace(fragment="").geturl()
    name = parts.path.rpartition("/")[2]
    if parts.scheme not in {"http", "https"} or not parts.hostname or not name:
        raise UsageError(
            f"{STAGE}: {shown(text)!r} is not the URL of an image",
            "give a URL that begins with http:// or https:// and ends with the name of a file",
        )
    found = [checksums.of(key, value.lower()) for key, value in parse_qsl(parts.fragment)]
    if parts.fragment and (len(found) != 1 or found[0] is None):
        raise UsageError(
            f"{STAGE}: {parts.fragment!r} in the URL is not a checksum",
            "write #sha512= and 128 hexadecimal digits, or #sha256= and 64",
        )
    return ImageRef(name, url, found[0] if found else None)


def _of_file(path: Path) -> ImageRef:
    if not path.is_file():
        raise UsageError(
            f"{STAGE}: there is no file {path}",
            f"correct the path, or give a version such as {Version('15.1')}",
        )
    if not os.access(path, os.R_OK):
        raise UsageError(f"{STAGE}: no permission to read {path}", "change its mode or owner")
    return ImageRef(path.name, path.absolute())


def _check_variant(variant: Variant) -> None:
    flavour = tree.FLAVOURS[variant.flavour]
    if variant.format in flavour.formats and variant.filesystem in flavour.filesystems:
        return
    there = f"{' or '.join(flavour.formats)}, {' or '.join(flavour.filesystems)}"
    raise UsageError(
        f"{STAGE}: there is no {variant}", f"images of the flavour {variant.flavour} are {there}"
    )


def _not_listed(url: str, release: Release, listed: dict[str, Digest]) -> Exception:
    """Return an error about a list of checksums without the image."""
    there = [found for name in listed if (found := tree.published(name)) is not None]
    if not there:
        return InfrastructureError(
            f"{LIST}: {shown(url)}: it has no checksum of an image ({len(listed)} of other files)",
            "check that the URL leads to a release tree; a proxy may send another page",
        )
    same = [each for each in there if each.variant.architecture == release.variant.architecture]
    close = nearest(str(release.variant), [str(each.variant) for each in same or there])
    return UsageError(
        f"{LIST}: {shown(url)}: there is no image {release}",
        f"the nearest is {close}",
    )
