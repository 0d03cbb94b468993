# SPDX-License-Identifier: Apache-2.0
"""Removal of images and of leftovers."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fakes import disks, release_tree
from fakes.progress import Recorder
from fakes.release_tree import ReleaseTree

from bsdgate.harness import files
from bsdgate.harness.errors import InfrastructureError
from bsdgate.harness.images.cache import Cache, lock_path
from bsdgate.harness.images.client import Client
from bsdgate.harness.images.model import Image, ImageRef
from bsdgate.harness.images.prune import (
    Removed,
    leftovers,
    prune,
    remove_leftovers,
    size_on_disk,
)

NOW = datetime(2026, 11, 28, tzinfo=UTC)


@pytest.fixture
def cache(tmp_path: Path, recorder: Recorder) -> Cache:
    return Cache(tmp_path / "cache", recorder)


@pytest.fixture
def images(cache: Cache, tree: ReleaseTree, client: Client) -> list[Image]:
    """Keep images that were used today, 20 days ago and 40 days ago."""
    made = []
    for days in (0, 20, 40):
        url = tree.write(f"image-{days}", disks.qcow2(days + 1))
        image = cache.get(ImageRef(f"image-{days}", url), client)
        at = (NOW - timedelta(days=days)).timestamp()
        os.utime(image.path.parent, (at, at))
        made.append(image)
    return made


def test_images_are_removed_by_the_time_of_their_last_use(
    cache: Cache, images: list[Image]
) -> None:
    sizes = [size_on_disk(image.path.parent) for image in images]
    removed = list(prune(cache, cache.entries(), NOW - timedelta(days=30)))
    assert removed == [Removed("image-40", sizes[2])]
    assert [entry.image for entry in cache.entries()] == images[:2]
    removed = list(prune(cache, cache.entries(), None))
    assert removed == [Removed("image-0", sizes[0]), Removed("image-20", sizes[1])]
    assert cache.entries() == []


def test_files_that_another_process_removes_meanwhile_are_not_counted(
    cache: Cache, images: list[Image]
) -> None:
    """A link without a target stands for a file that was listed and is removed now."""
    folder = images[0].path.parent
    size = size_on_disk(folder)
    (folder / "removed").symlink_to("nowhere")
    assert size_on_disk(folder) == size
    (cache.root / "parts").mkdir(exist_ok=True)
    (cache.root / "parts" / "key.part").symlink_to("nowhere")
    assert [each.size for each in leftovers(cache)] == [0]


def test_an_image_in_use_is_not_removed(cache: Cache, images: list[Image]) -> None:
    with cache.hold(images[0]):
        removed = list(prune(cache, cache.entries(), None))
        assert [(each.name, each.in_use) for each in removed] == [
            ("image-0", True),
            ("image-20", False),
            ("image-40", False),
        ]
        assert images[0].path.exists()
    assert [each.in_use for each in prune(cache, cache.entries(), None)] == [False]
    assert cache.entries() == []


def test_an_image_in_the_making_is_not_removed(cache: Cache, images: list[Image]) -> None:
    (entry,) = (each for each in cache.entries() if each.image == images[0])
    with files.exclusive(lock_path(cache.root, entry.key), 0):
        assert [each.in_use for each in prune(cache, [entry], None)] == [True]
    assert images[0].path.exists()


def test_a_damaged_image_is_removed_whatever_its_age(cache: Cache, images: list[Image]) -> None:
    (images[0].path.parent / "image.json").write_bytes(b"{}")
    removed = list(prune(cache, cache.entries(), NOW - timedelta(days=30)))
    assert [each.name for each in removed] == [
        f"damaged {images[0].path.parent.name}",
        "image-40",
    ]
    assert not images[0].path.parent.exists()


def test_the_use_of_an_image_is_noted(
    cache: Cache, images: list[Image], tree: ReleaseTree, client: Client
) -> None:
    cache.get(ImageRef("image-40", f"{tree.url}/image-40"), client)
    assert not list(prune(cache, cache.entries(), NOW - timedelta(days=39)))


def test_incomplete_downloads_and_drafts_are_removed_if_they_are_not_in_the_making(
    cache: Cache, tree: ReleaseTree, client: Client
) -> None:
    refs = [ImageRef(name, tree.write(name, disks.qcow2())) for name in ("one", "two")]
    for ref in refs:
        tree.fail(ref.name, release_tree.cut(100_000), *[release_tree.status(503)] * 2)
        with pytest.raises(InfrastructureError):
            cache.get(ref, client)
    draft = cache.root / f"draft-{refs[1].key}"
    draft.mkdir()
    (draft / ".bsdgate").touch()
    (draft / "image").write_bytes(bytes(100_000))
    assert not list(remove_leftovers(cache, datetime.now(UTC) - timedelta(hours=1)))
    with files.exclusive(lock_path(cache.root, refs[0].key), 0):
        removed = {each.name: each for each in remove_leftovers(cache, None)}
    assert removed["incomplete one"].in_use
    assert not removed["incomplete two"].in_use
    assert removed["incomplete two"].size >= 200_000
    assert not draft.exists()
    assert {path.name for path in (cache.root / "parts").iterdir()} == {
        f"{refs[0].key}.part",
        f"{refs[0].key}.json",
    }


def test_nothing_is_removed_from_an_empty_cache(cache: Cache) -> None:
    assert not list(remove_leftovers(cache, None))
    assert not list(prune(cache, cache.entries(), None))
    assert not cache.root.exists()
