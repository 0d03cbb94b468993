# SPDX-License-Identifier: Apache-2.0
"""The cache of images: what it keeps, what it refuses, and several processes in it."""

import errno
import fcntl
import hashlib
import os
import random
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import IO

import pytest
from fakes import disks, release_tree
from fakes.progress import Recorder
from fakes.release_tree import ReleaseTree

from bsdgate.harness import files
from bsdgate.harness.errors import InfrastructureError, UsageError
from bsdgate.harness.images import cache as module
from bsdgate.harness.images.cache import Cache
from bsdgate.harness.images.client import Client
from bsdgate.harness.images.disk import DamagedImage
from bsdgate.harness.images.model import (
    Digest,
    Format,
    Image,
    ImageRef,
    Release,
    Signature,
    Variant,
)
from bsdgate.harness.images.settings import Limits
from bsdgate.harness.images.versions import Version

CONTENT = disks.qcow2(40, fill=random.Random(16).randbytes(disks.CLUSTER))
PACKED = disks.xz(CONTENT)
NAME = "FreeBSD-15.1-RELEASE-amd64-BASIC-CLOUDINIT-ufs.qcow2.xz"
PATH = f"releases/VM-IMAGES/15.1-RELEASE/amd64/Latest/{NAME}"
RELEASE = Release(Version("15.1"), Variant())


def digest_of(content: bytes) -> Digest:
    return Digest("sha512", hashlib.sha512(content).hexdigest())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "images"


@pytest.fixture
def cache(root: Path, recorder: Recorder) -> Cache:
    return Cache(root, recorder)


@pytest.fixture
def ref(tree: ReleaseTree) -> ImageRef:
    url = tree.write(PATH, PACKED)
    return ImageRef(NAME, url, digest_of(PACKED), RELEASE, Signature.UNCHECKED)


def names(root: Path) -> list[str]:
    """Return what is in the cache, beside the folders of parts and locks."""
    return sorted(each.name for each in root.iterdir() if each.name not in {"parts", "locks"})


def test_an_image_is_downloaded_unpacked_and_kept_by_its_digest(
    cache: Cache, ref: ImageRef, client: Client, root: Path, recorder: Recorder
) -> None:
    image = cache.get(ref, client)
    folder = root / f"sha512-{digest_of(PACKED).hex[:32]}"
    assert image == Image(
        folder / "image.qcow2",
        Format.QCOW2,
        hashlib.sha256(CONTENT).hexdigest(),
        NAME.removesuffix(".xz"),
        RELEASE,
    )
    assert image.path.read_bytes() == CONTENT
    assert image.path.stat().st_mode & 0o777 == 0o400
    assert names(root) == [folder.name]
    assert not [*(root / "parts").iterdir(), *(root / "locks").iterdir()]
    assert [stage for stage, _, _ in recorder.stages] == ["download", "unpack"]


def test_an_image_is_downloaded_once(
    cache: Cache, ref: ImageRef, client: Client, tree: ReleaseTree
) -> None:
    image = cache.get(ref, client)
    assert cache.get(ref, client) == image
    assert len(tree.requests) == 1


def test_a_record_says_where_an_image_is_from(cache: Cache, ref: ImageRef, client: Client) -> None:
    cache.get(ref, client)
    (entry,) = cache.entries()
    assert entry.record is not None
    assert entry.record.location == ref.location
    assert entry.record.published == entry.record.downloaded == digest_of(PACKED)
    assert entry.record.signature == Signature.UNCHECKED
    assert entry.record.size == len(CONTENT)
    assert cache.check(entry) is None


def test_a_wrong_checksum_is_an_error_and_nothing_is_left(
    cache: Cache, ref: ImageRef, client: Client, root: Path, tree: ReleaseTree
) -> None:
    tree.write(PATH, disks.xz(disks.qcow2(41)))
    with pytest.raises(InfrastructureError) as error:
        cache.get(ref, client)
    wrong = digest_of(disks.xz(disks.qcow2(41)))
    assert error.value.message == (
        f"verify: {ref.location} has the wrong checksum: {wrong}; published is {ref.digest}"
    )
    assert "--tree" in (error.value.hint or "")
    assert names(root) == []
    assert not list((root / "parts").iterdir())
    assert len(tree.requests) == 1


def test_a_part_of_another_file_is_given_up(
    cache: Cache, ref: ImageRef, client: Client, root: Path, tree: ReleaseTree
) -> None:
    (root / "parts").mkdir(parents=True)
    (root / "parts" / f"{ref.key}.part").write_bytes(b"something else")
    assert cache.get(ref, client).path.read_bytes() == CONTENT
    assert tree.ranges(PATH) == ["bytes=14-", None]


def test_an_interrupted_download_is_continued(
    cache: Cache, ref: ImageRef, client: Client, root: Path, tree: ReleaseTree
) -> None:
    tree.fail(PATH, release_tree.cut(1000), *[release_tree.status(503)] * 2)
    with pytest.raises(InfrastructureError):
        cache.get(ref, client)
    assert names(root) == []
    assert cache.get(ref, client).path.read_bytes() == CONTENT
    assert tree.ranges(PATH)[-1] == "bytes=1000-"


def test_a_full_disk_while_unpacking_leaves_the_download_only(
    cache: Cache,
    ref: ImageRef,
    client: Client,
    root: Path,
    tree: ReleaseTree,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = files.write_all

    def full(fd: int, data: bytes) -> None:
        if list(root.glob("draft-*/image")):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(fd, data)

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_all", full)
        with pytest.raises(InfrastructureError, match="unpack: .*: no room to write") as error:
            cache.get(ref, client)
    assert "make room" in (error.value.hint or "")
    assert names(root) == []
    assert cache.get(ref, client).path.read_bytes() == CONTENT
    assert tree.ranges(PATH) == [None, f"bytes={len(PACKED)}-"]


def test_an_unpacked_image_that_is_damaged_is_not_kept_nor_is_its_download(
    cache: Cache, client: Client, root: Path, tree: ReleaseTree
) -> None:
    url = tree.write("image.qcow2", CONTENT[:-100_000])
    with pytest.raises(DamagedImage, match="check: image.qcow2: it is truncated"):
        cache.get(ImageRef("image.qcow2", url), client)
    assert names(root) == []
    assert not list((root / "parts").iterdir())


@pytest.mark.parametrize("content", [CONTENT, PACKED])
def test_a_url_without_a_checksum_is_downloaded_once(
    cache: Cache, client: Client, tree: ReleaseTree, content: bytes
) -> None:
    ref = ImageRef("image", tree.write("image", content))
    image = cache.get(ref, client)
    assert image.path.read_bytes() == CONTENT
    assert image.format is Format.QCOW2
    assert cache.get(ref, client) == image
    assert len(tree.requests) == 1
    (entry,) = cache.entries()
    assert entry.record is not None
    assert entry.record.published is None
    assert entry.record.downloaded == digest_of(content)


def test_a_local_image_is_used_where_it_is(cache: Cache, client: Client, tmp_path: Path) -> None:
    path = tmp_path / "local.raw"
    path.write_bytes(disks.raw())
    sha256 = hashlib.sha256(disks.raw()).hexdigest()
    image = Image(path, Format.RAW, sha256, "local.raw")
    assert cache.get(ImageRef("local.raw", path), client) == image
    assert cache.entries() == []
    with cache.hold(image) as fd:
        assert fd is None


def test_a_local_compressed_image_is_unpacked_once(
    cache: Cache, client: Client, tmp_path: Path, recorder: Recorder
) -> None:
    path = tmp_path / "local.qcow2.xz"
    path.write_bytes(PACKED)
    image = cache.get(ImageRef("local.qcow2.xz", path), client)
    assert image.path.read_bytes() == CONTENT
    assert image.name == "local.qcow2"
    assert cache.get(ImageRef("local.qcow2.xz", path), client) == image
    assert [stage for stage, _, _ in recorder.stages] == ["verify", "unpack", "verify"]
    assert path.read_bytes() == PACKED


def test_a_local_file_that_is_a_release_is_known_as_one_when_the_release_is_fetched(
    cache: Cache, ref: ImageRef, client: Client, tmp_path: Path, tree: ReleaseTree
) -> None:
    path = tmp_path / NAME
    path.write_bytes(PACKED)
    local = cache.get(ImageRef(NAME, path), client)
    assert local.release is None
    assert cache.get(ref, client) == replace(local, release=RELEASE)
    assert not tree.requests
    (entry,) = cache.entries()
    assert entry.record is not None
    assert entry.record.release == RELEASE
    assert entry.record.location == ref.location
    assert entry.record.published == ref.digest
    assert entry.record.signature is Signature.UNCHECKED


@pytest.mark.parametrize("damage", ["record", "cut", "gone"])
def test_a_damaged_image_is_reported_and_fetched_again(
    cache: Cache, ref: ImageRef, client: Client, damage: str
) -> None:
    image = cache.get(ref, client)
    if damage == "record":
        (image.path.parent / "image.json").write_bytes(b"{}")
    else:
        image.path.unlink()
    if damage == "cut":
        image.path.write_bytes(CONTENT[:-1])
    (entry,) = cache.entries()
    assert cache.check(entry)
    assert entry.image is None
    assert cache.get(ref, client) == image
    assert image.path.read_bytes() == CONTENT


def test_a_changed_image_is_found_by_its_checksum(
    cache: Cache, ref: ImageRef, client: Client
) -> None:
    image = cache.get(ref, client)
    image.path.chmod(0o600)
    image.path.write_bytes(CONTENT[:-1] + b"!")
    (entry,) = cache.entries()
    found = cache.check(entry) or ""
    assert f"{image.path} has changed: sha256:" in found
    assert image.sha256 in found


def test_what_a_killed_process_has_left_is_no_image_and_is_replaced(
    cache: Cache, ref: ImageRef, client: Client, root: Path
) -> None:
    draft = root / f"draft-{ref.key}"
    draft.mkdir(parents=True)
    (draft / ".bsdgate").touch()
    (draft / "image").write_bytes(b"half")
    assert cache.entries() == []
    cache.get(ref, client)
    assert names(root) == [ref.key]


def lock_at_once(file: IO[bytes]) -> bool:
    """Take the lock of one that wants to remove the image; return whether that was possible."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def test_a_held_image_has_a_shared_lock(cache: Cache, ref: ImageRef, client: Client) -> None:
    image = cache.get(ref, client)
    marker = image.path.parent / ".bsdgate"
    with cache.hold(image), cache.hold(image), marker.open("rb") as file:
        assert not lock_at_once(file)
    with marker.open("rb") as file:
        assert lock_at_once(file)


def test_an_image_that_was_removed_cannot_be_held(
    cache: Cache, ref: ImageRef, client: Client
) -> None:
    image = cache.get(ref, client)
    shutil.rmtree(image.path.parent)
    with pytest.raises(InfrastructureError, match="has been removed"), cache.hold(image):
        pytest.fail("the block ran")


FETCH = """\
import sys
from pathlib import Path
from bsdgate.harness.images.cache import Cache
from bsdgate.harness.images.client import Client
from bsdgate.harness.images.model import Digest, ImageRef
from bsdgate.harness.images.settings import Limits

class Printer:
    def stage(self, name, what, total=None):
        print(name, flush=True)
        self.name = name

    def advance(self, done):
        if done and self.name == stop:
            print("stopped", flush=True)
            sys.stdin.read()

root, name, url, sha512, stop = sys.argv[1:]
ref = ImageRef(name, url, Digest("sha512", sha512))
print(Cache(Path(root), Printer()).get(ref, Client(Limits())).path)
"""


def start_fetch(root: Path, ref: ImageRef, stop: str = "") -> subprocess.Popen[str]:
    """Fetch in another process, which prints the stages, and stops in the stage ``stop``."""
    assert ref.digest is not None
    words = [sys.executable, "-c", FETCH, str(root), NAME, str(ref.location), ref.digest.hex, stop]
    pipe = subprocess.PIPE
    return subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True)


def test_two_processes_that_fetch_one_image_download_it_once(
    root: Path, ref: ImageRef, tree: ReleaseTree
) -> None:
    reached, released = threading.Event(), threading.Event()
    tree.fail(PATH, release_tree.held(reached, released))
    first = start_fetch(root, ref)
    assert reached.wait(50)
    second = start_fetch(root, ref)
    assert second.stdout is not None
    assert second.stdout.readline() == "wait for another process\n"
    released.set()
    path = root / ref.key / "image.qcow2"
    assert first.communicate(timeout=50)[0].splitlines() == ["download", "unpack", str(path)]
    assert second.communicate(timeout=50)[0].splitlines() == [str(path)]
    assert len(tree.requests) == 1


@pytest.mark.parametrize("stage", ["download", "unpack"])
def test_a_killed_process_leaves_no_half_image_and_is_continued(
    cache: Cache, root: Path, ref: ImageRef, client: Client, tree: ReleaseTree, stage: str
) -> None:
    with start_fetch(root, ref, stage) as process:
        assert process.stdout is not None
        while process.stdout.readline() != "stopped\n":
            assert process.poll() is None
        process.kill()
    assert cache.entries() == []
    assert cache.get(ref, client).path.read_bytes() == CONTENT
    assert names(root) == [ref.key]
    assert not list((root / "parts").iterdir())
    first, second = tree.ranges(PATH)
    assert first is None
    assert int((second or "").strip("bytes=-")) > 0


def test_a_process_that_waits_for_another_one_says_so(
    cache: Cache, ref: ImageRef, root: Path, limits: Limits, recorder: Recorder
) -> None:
    lock = module.lock_path(root, ref.key)
    lock.parent.mkdir(parents=True)
    fd = files.take_lock(lock)
    assert fd is not None
    with pytest.raises(UsageError, match=f"process {os.getpid()} has held"):
        cache.get(ref, Client(replace(limits, total=0.05)))
    os.close(fd)
    assert recorder.stages == [("wait for another process", NAME, None)]
