# SPDX-License-Identifier: Apache-2.0
"""Images on this machine: each is downloaded, verified and unpacked once, and kept by its digest.

``KEY/`` has the unpacked image and ``image.json``; a folder with this name is always complete.
``parts/`` has downloads that are not complete, ``locks/`` the locks of images in the making.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from bsdgate.harness import files, folders
from bsdgate.harness.errors import InfrastructureError, UsageError
from bsdgate.harness.images import disk, unpack
from bsdgate.harness.images.client import Client, shown
from bsdgate.harness.images.download import Download, remove, writing
from bsdgate.harness.images.model import (
    Algorithm,
    Digest,
    Image,
    ImageRef,
    Record,
    Signature,
)
from bsdgate.harness.images.progress import Listener

RECORD: Final = "image.json"
PARTS: Final = "parts"
LOCKS: Final = "locks"
DRAFT: Final = "draft-"
PART: Final = ".part"

_LOCK_SUFFIX: Final = ".lock"
_DEFAULT_ALGORITHM: Final[Algorithm] = "sha512"
_RECORDS: Final = TypeAdapter(Record)


@dataclass(frozen=True)
class Entry:
    """An image in the cache; without a record it is damaged."""

    folder: Path
    record: Record | None
    used: datetime
    """When it was last used."""

    @property
    def key(self) -> str:
        """The name in the cache."""
        return self.folder.name

    @property
    def path(self) -> Path | None:
        """The path of the unpacked image."""
        return None if self.record is None else _image_in(self.folder, self.record)

    @property
    def image(self) -> Image | None:
        """The image, if its file is there with its whole size."""
        record, path = self.record, self.path
        if record is None or path is None or not path.is_file():
            return None
        if path.stat().st_size != record.size:
            return None
        return Image(path, record.format, record.sha256, record.name, record.release)


class Cache:
    """The images in a directory, which several processes can use at the same time."""

    def __init__(self, root: Path, listener: Listener) -> None:
        """Use the directory ``root``, which is made when the first image is kept."""
        self.root: Final = root
        self._listener = listener

    def entries(self) -> list[Entry]:
        """Return all images, the one that was used last first."""
        marked = filter(folders.is_marked, self.root.glob("*"))
        found = [_entry(folder) for folder in marked if not folder.name.startswith(DRAFT)]
        return sorted(filter(None, found), key=lambda each: each.used, reverse=True)

    def get(self, ref: ImageRef, client: Client) -> Image:
        """Return the image from the cache, or fetch it from its location.

        A local file that is not compressed is used where it is.

        :raises InfrastructureError: it cannot be fetched; an incomplete download is kept.
        """
        if isinstance(ref.location, str):
            return self._get(ref, client, None)
        if not unpack.is_compressed(ref.location):
            return self._local(ref.name, ref.location)
        found = unpack.digest(ref.location, _DEFAULT_ALGORITHM, "verify", ref.name, self._listener)
        digest = Digest(_DEFAULT_ALGORITHM, found)
        return self._get(replace(ref, digest=digest), client, ref.location)

    @contextlib.contextmanager
    def hold(self, image: Image) -> Iterator[int | None]:
        """Prevent the removal of an image while a block runs, or a process that has the descriptor.

        None is yielded for a file that is not in the cache.

        :raises InfrastructureError: it has been removed meanwhile.
        """
        if not image.path.is_relative_to(self.root):
            yield None
            return
        fd = _lock(image.path.parent, fcntl.LOCK_SH)
        if fd is None:
            raise InfrastructureError(f"{image.path} has been removed", "fetch the image again")
        try:
            yield fd
        finally:
            os.close(fd)

    def check(self, entry: Entry) -> str | None:
        """Compute the checksum of an image again; return a description of the damage, or None."""
        record, path = entry.record, entry.path
        if record is None or path is None:
            return f"{entry.folder / RECORD} is missing or damaged"
        if not path.is_file():
            return f"{path} is missing"
        found = unpack.digest(path, "sha256", "verify", record.name, self._listener)
        if found != record.sha256:
            return f"{path} has changed: sha256:{found}, and it was sha256:{record.sha256}"
        return None

    def remove(self, entry: Entry) -> bool:
        """Remove an image that is not in use; return whether it was removed."""
        try:
            with locked(self.root, entry.key, 0):
                fd = _lock(entry.folder, fcntl.LOCK_EX)
                if fd is None:
                    return not entry.folder.exists()
                try:
                    folders.remove_tree(entry.folder, inside=self.root)
                finally:
                    os.close(fd)
        except UsageError:
            return False
        return True

    def _local(self, name: str, path: Path) -> Image:
        kind = disk.format_of(path, name)
        found = unpack.digest(path, "sha256", "verify", name, self._listener)
        return Image(path, kind, found, name)

    def _get(self, ref: ImageRef, client: Client, source: Path | None) -> Image:
        folder = self.root / ref.key
        with files.explain_errors(self.root):
            folders.make(self.root / PARTS)
        with self._locked(ref, client.limits.total):
            entry = _entry(folder)
            if entry is not None and entry.record is not None and entry.image is not None:
                _complete_record(folder, entry.record, ref)
                os.utime(folder)
                return replace(entry.image, release=entry.image.release or ref.release)
            folders.remove_tree(folder, inside=self.root)
            if source is None:
                return self._load(ref, client)
            assert ref.digest is not None
            return self._keep(ref, source, ref.digest)

    @contextlib.contextmanager
    def _locked(self, ref: ImageRef, seconds: float) -> Iterator[None]:
        """Exclude other processes that make the same image."""
        if files.is_locked(lock_path(self.root, ref.key)):
            self._listener.stage("wait for another process", ref.name)
        with locked(self.root, ref.key, seconds):
            yield

    def _load(self, ref: ImageRef, client: Client) -> Image:
        part, digest = self._downloaded(ref, client)
        try:
            image = self._keep(ref, part, digest)
        except disk.DamagedImage:
            remove(part)
            raise
        remove(part)
        return image

    def _downloaded(self, ref: ImageRef, client: Client) -> tuple[Path, Digest]:
        """Return the downloaded file with its digest, which agrees with the published one."""
        assert isinstance(ref.location, str)
        part = self.root / PARTS / f"{ref.key}{PART}"
        algorithm = ref.digest.algorithm if ref.digest else _DEFAULT_ALGORITHM
        while True:
            continued = part.exists()
            known = ref.digest is not None
            with Download(
                client, ref.location, part, algorithm, self._listener, verified=known
            ) as made:
                found = made.run()
            if ref.digest in {None, found}:
                return part, found
            remove(part)
            # The incomplete file of an earlier command may be another file: download all of it.
            if not continued:
                raise InfrastructureError(
                    f"verify: {shown(ref.location)} has the wrong checksum: {found};"
                    f" published is {ref.digest}",
                    "the downloaded file was removed; fetch it again. If the error stays, the"
                    " server or a proxy sends another file: use another one with --tree",
                )

    def _keep(self, ref: ImageRef, source: Path, downloaded: Digest) -> Image:
        """Unpack a file into a draft, and give it its final name when it is complete."""
        draft = self.root / f"{DRAFT}{ref.key}"
        folders.remove_tree(draft, inside=self.root)
        with writing(unpack.STAGE, draft):
            folders.make_marked(draft)
        try:
            record = self._fill(draft, ref, source, downloaded)
            draft.rename(self.root / ref.key)
        except BaseException:
            folders.remove_tree(draft, inside=self.root)
            raise
        path = _image_in(self.root / ref.key, record)
        return Image(path, record.format, record.sha256, record.name, record.release)

    def _fill(self, draft: Path, ref: ImageRef, source: Path, downloaded: Digest) -> Record:
        unpacked = draft / "image"
        sha256 = unpack.unpack(source, unpacked, ref.name, self._listener)
        record = Record(
            name=ref.name.removesuffix(".xz"),
            location=shown(str(ref.location)),
            published=ref.digest if isinstance(ref.location, str) else None,
            signature=ref.signature,
            release=ref.release,
            downloaded=downloaded,
            sha256=sha256,
            size=unpacked.stat().st_size,
            format=disk.format_of(unpacked, ref.name),
            fetched=datetime.now(UTC),
        )
        # Guests write to an overlay; a mistake must not change the base of all others.
        unpacked.chmod(0o400)
        unpacked.rename(_image_in(draft, record))
        files.write_atomically(draft / RECORD, _RECORDS.dump_json(record, indent=2))
        return record


def lock_path(root: Path, key: str) -> Path:
    """Return the lock of an image in the making."""
    return root / LOCKS / f"{key}{_LOCK_SUFFIX}"


@contextlib.contextmanager
def locked(root: Path, key: str, seconds: float) -> Iterator[None]:
    """Exclude other processes that make or remove an image.

    :raises UsageError: another one is still doing that after ``seconds``.
    """
    path = lock_path(root, key)
    with contextlib.ExitStack() as stack:
        with files.explain_errors(path):
            folders.make(path.parent)
            stack.enter_context(files.exclusive(path, seconds))
        yield


def _image_in(folder: Path, record: Record) -> Path:
    return folder / f"image.{record.format}"


def _entry(folder: Path) -> Entry | None:
    """Return the image in a folder; None if there is no folder, or no longer."""
    try:
        used = datetime.fromtimestamp(folder.stat().st_mtime, UTC)
    except FileNotFoundError:
        return None
    try:
        record = _RECORDS.validate_json((folder / RECORD).read_bytes())
    except (OSError, ValidationError):
        record = None
    return Entry(folder, record, used)


def _complete_record(folder: Path, record: Record, ref: ImageRef) -> None:
    """Add the release, checksum and signature of ``ref`` to the record of a kept image."""
    known = record
    if record.release is None and ref.release is not None:
        known = replace(
            known, release=ref.release, location=str(ref.location), published=ref.digest
        )
    if ref.signature is not Signature.NOT_PUBLISHED and record.signature is not Signature.GOOD:
        known = replace(known, signature=ref.signature)
    if known != record:
        files.write_atomically(folder / RECORD, _RECORDS.dump_json(known, indent=2))


def _lock(folder: Path, operation: int) -> int | None:
    """Lock the marker of an image; None if it is missing, or another process has locked it.

    The image itself is not locked: QEMU locks images, and on FreeBSD ``flock`` and ``fcntl`` locks
    exclude one another.
    """
    marker = folder / folders.MARKER
    try:
        fd = os.open(marker, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, operation | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(fd), marker.stat()):
            return fd
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(fd)
    return None
