# SPDX-License-Identifier: Apache-2.0
"""Names of images, against a release tree on a local server."""

import shutil
from pathlib import Path

import pytest
from fakes import disks, release_tree
from fakes.progress import Recorder
from fakes.release_tree import ReleaseTree

from bsdgate.harness.errors import InfrastructureError, UsageError
from bsdgate.harness.images.cache import Cache
from bsdgate.harness.images.client import Client
from bsdgate.harness.images.model import Digest, Format, ImageRef, Signature, Variant
from bsdgate.harness.images.resolve import Resolver
from bsdgate.harness.images.settings import Settings
from bsdgate.harness.images.versions import Version

GOLDEN = Path(__file__).parents[3] / "golden" / "images"
# tests/golden/images has its checksum, with the signature of a key that was made for that.
CONTENT = disks.qcow2(1)
NAME = "FreeBSD-15.1-RELEASE-amd64-BASIC-CLOUDINIT-ufs.qcow2.xz"
LATEST = "releases/VM-IMAGES/15.1-RELEASE/amd64/Latest"
SNAPSHOTS = "snapshots/VM-IMAGES/15.1-STABLE/amd64"
OLD, NEW = "20261112-1111111aaaaa-281001", "20261119-2222222bbbbb-281077"
SIGNED = "15.1R/checksums/CHECKSUM.SHA512-FreeBSD-15.1-RELEASE-amd64-vm.asc"


@pytest.fixture
def cache(tmp_path: Path, recorder: Recorder) -> Cache:
    return Cache(tmp_path / "cache", recorder)


@pytest.fixture
def resolver(tree: ReleaseTree, cache: Cache, client: Client) -> Resolver:
    """Find images in a tree with a release and two builds of a snapshot."""
    images = [NAME, NAME.replace("ufs", "zfs"), NAME.replace("qcow2", "raw")]
    tree.publish(LATEST, dict.fromkeys(images, CONTENT))
    for ending, link in ((OLD, None), (NEW, f"{SNAPSHOTS}/Latest")):
        name = f"FreeBSD-15.1-STABLE-amd64-BASIC-CLOUDINIT-{ending}-ufs.qcow2.xz"
        folder = f"{SNAPSHOTS}/{ending[:8]}"
        tree.publish(folder, {name: ending.encode()}, f"-{ending}", link)
    return Resolver(Settings(tree.url, f"{tree.url}/site"), cache, client)


def resolver_with(tree: ReleaseTree, cache: Cache, client: Client, keyring: Path) -> Resolver:
    return Resolver(Settings(tree.url, f"{tree.url}/site", keyring), cache, client)


@pytest.mark.parametrize(
    ("variant", "name"),
    [
        (Variant(), NAME),
        (Variant(filesystem="zfs"), NAME.replace("ufs", "zfs")),
        (Variant(format=Format.RAW), NAME.replace("qcow2", "raw")),
    ],
)
@pytest.mark.parametrize("text", ["15.1", "15.1-RELEASE"])
def test_a_release_is_found_with_its_checksum(
    resolver: Resolver, tree: ReleaseTree, text: str, variant: Variant, name: str
) -> None:
    ref = resolver.resolve(text, variant)
    assert ref.name == name
    assert ref.location == f"{tree.url}/{LATEST}/{name}"
    assert ref.digest is not None
    assert ref.digest.algorithm == "sha512"
    assert ref.release is not None
    assert (ref.release.version, ref.release.variant) == (Version("15.1"), variant)
    assert ref.signature is Signature.UNCHECKED


def test_without_a_list_of_sha512_that_of_sha256_is_used(
    resolver: Resolver, tree: ReleaseTree
) -> None:
    (tree.root / LATEST / "CHECKSUM.SHA512").unlink()
    digest = resolver.resolve("15.1", Variant()).digest
    assert digest is not None
    assert digest.algorithm == "sha256"


@pytest.mark.parametrize(
    ("text", "ending"),
    [
        ("15.1-STABLE", NEW),
        ("15.1-STABLE-20261112", OLD),
        ("15.1-STABLE-20261119", NEW),
        (f"15.1-STABLE-{OLD}", OLD),
    ],
)
def test_a_snapshot_is_found_by_its_dated_name(
    resolver: Resolver, tree: ReleaseTree, text: str, ending: str
) -> None:
    ref = resolver.resolve(text, Variant())
    name = f"FreeBSD-15.1-STABLE-amd64-BASIC-CLOUDINIT-{ending}-ufs.qcow2.xz"
    assert ref.location == f"{tree.url}/{SNAPSHOTS}/{ending[:8]}/{name}"
    assert ref.release is not None
    assert str(ref.release.version) == f"15.1-STABLE-{ending}"
    assert ref.signature is Signature.NOT_PUBLISHED


@pytest.mark.parametrize(
    ("text", "close"),
    [
        ("15.7", "15.1-RELEASE"),
        ("15.2-RC1", "15.1-RELEASE"),
        ("15.2-STABLE", "15.1-STABLE"),
        ("16.0-CURRENT", "15.1-STABLE"),
        ("15.1-STABLE-20261113", "15.1-STABLE-20261112"),
        ("15.1-STABLE-20261119-2222222bbbbb-281078", "15.1-STABLE-20261119"),
    ],
)
def test_an_unknown_version_is_an_error_with_the_nearest_one(
    resolver: Resolver, tree: ReleaseTree, text: str, close: str
) -> None:
    with pytest.raises(UsageError) as error:
        resolver.resolve(text, Variant())
    assert "resolve: the release tree has no " in error.value.message
    assert tree.url in error.value.message
    assert error.value.hint == f"the nearest is {close}"


def test_an_unknown_version_in_a_tree_without_indexes_is_an_error(
    resolver: Resolver, tree: ReleaseTree
) -> None:
    shutil.rmtree(tree.root / "releases")
    with pytest.raises(UsageError, match=f"-> look into {tree.url}"):
        resolver.resolve("15.1", Variant())


def test_a_list_without_the_image_is_an_error_with_the_nearest_one(
    resolver: Resolver, tree: ReleaseTree
) -> None:
    with pytest.raises(UsageError) as error:
        resolver.resolve("15.1", Variant(flavour="PLAIN", filesystem="zfs"))
    assert error.value.message == (
        f"list of checksums: {tree.url}/{LATEST}/CHECKSUM.SHA512: there is no image"
        " 15.1-RELEASE PLAIN amd64 zfs qcow2"
    )
    assert error.value.hint == "the nearest is BASIC-CLOUDINIT amd64 zfs qcow2"


def test_a_page_in_place_of_the_list_is_an_error(resolver: Resolver, tree: ReleaseTree) -> None:
    tree.write(f"{LATEST}/CHECKSUM.SHA512", b"<html>Please log in</html>")
    with pytest.raises(InfrastructureError, match="it has no checksum of an image"):
        resolver.resolve("15.1", Variant())


def test_a_combination_that_freebsd_does_not_build_asks_no_server(
    resolver: Resolver, tree: ReleaseTree
) -> None:
    with pytest.raises(UsageError) as error:
        resolver.resolve("15.1", Variant(flavour="BASIC-CI"))
    assert error.value.hint == "images of the flavour BASIC-CI are raw, ufs"
    assert not tree.requests


def test_an_exact_version_in_the_cache_needs_no_server(
    resolver: Resolver, cache: Cache, client: Client, tree: ReleaseTree
) -> None:
    ref = resolver.resolve("15.1", Variant())
    image = cache.get(ref, client)
    asked = len(tree.requests)
    assert resolver.resolve("15.1-RELEASE", Variant()) == ref
    assert cache.get(ref, client) == image
    assert len(tree.requests) == asked


def test_an_unreachable_server_names_the_builds_in_the_cache(
    resolver: Resolver, cache: Cache, client: Client, tree: ReleaseTree
) -> None:
    name = f"FreeBSD-15.1-STABLE-amd64-BASIC-CLOUDINIT-{OLD}-ufs.qcow2.xz"
    tree.publish(f"{SNAPSHOTS}/{OLD[:8]}", {name: CONTENT}, f"-{OLD}")
    cache.get(resolver.resolve(f"15.1-STABLE-{OLD}", Variant()), client)
    away = Resolver(Settings("http://127.0.0.1:9"), cache, client)
    with pytest.raises(InfrastructureError) as error:
        away.resolve("15.1-STABLE", Variant())
    url = f"http://127.0.0.1:9/{SNAPSHOTS}/Latest/CHECKSUM.SHA512"
    assert error.value.message == f"list of checksums: {url}: Connection refused"
    assert f"in the cache is 15.1-STABLE-{OLD}" in (error.value.hint or "")
    assert away.resolve(f"15.1-STABLE-{OLD}", Variant()).name == name


def test_the_versions_in_the_tree_are_listed(resolver: Resolver) -> None:
    assert [str(each) for each in resolver.versions(Variant())] == ["15.1-RELEASE", "15.1-STABLE"]


def test_a_mirror_without_snapshots_has_releases_only(
    resolver: Resolver, tree: ReleaseTree
) -> None:
    shutil.rmtree(tree.root / "snapshots")
    assert [str(each) for each in resolver.versions(Variant())] == ["15.1-RELEASE"]
    shutil.rmtree(tree.root / "releases")
    with pytest.raises(InfrastructureError, match="index: .*/VM-IMAGES/: not found"):
        resolver.versions(Variant())


# Signatures ----------------------------------------------------------------------------------


@pytest.fixture
def gpgv() -> None:
    if shutil.which("gpgv") is None:
        pytest.skip("gpgv is missing: bindep.txt has its package")


@pytest.mark.usefixtures("gpgv")
def test_a_good_signature_is_recorded(
    resolver: Resolver, tree: ReleaseTree, cache: Cache, client: Client
) -> None:
    cache.get(resolver.resolve("15.1", Variant()), client)
    tree.write(f"site/{SIGNED}", (GOLDEN / "CHECKSUM.SHA512.asc").read_bytes())
    careful = resolver_with(tree, cache, client, GOLDEN / "keyring.gpg")
    ref = careful.resolve("15.1", Variant())
    assert ref.signature is Signature.GOOD
    cache.get(ref, client)
    (entry,) = cache.entries()
    assert entry.record is not None
    assert entry.record.signature is Signature.GOOD
    asked = len(tree.requests)
    assert careful.resolve("15.1", Variant()) == ref
    assert len(tree.requests) == asked


@pytest.mark.usefixtures("gpgv")
@pytest.mark.parametrize("change", ["key", "text", "after", "none"])
def test_text_without_a_signature_of_the_keyring_is_an_error(
    resolver: Resolver, tree: ReleaseTree, cache: Cache, client: Client, change: str
) -> None:
    signed = (GOLDEN / "CHECKSUM.SHA512.asc").read_text()
    (line,) = (each for each in signed.splitlines() if each.startswith("SHA512 ("))
    text = {
        "key": signed,
        "text": signed.replace(" = d", " = e"),
        "after": signed.replace(NAME, "another.xz") + line,
        "none": line,
    }[change]
    tree.write(f"site/{SIGNED}", text.encode())
    name = "other-keyring.gpg" if change == "key" else "keyring.gpg"
    with pytest.raises(InfrastructureError, match="signature: .* no key of .* has signed it"):
        resolver_with(tree, cache, client, GOLDEN / name).resolve("15.1", Variant())


@pytest.mark.usefixtures("gpgv")
def test_a_signed_checksum_that_differs_from_the_trees_is_an_error(
    resolver: Resolver, tree: ReleaseTree, cache: Cache, client: Client
) -> None:
    tree.write(f"site/{SIGNED}", (GOLDEN / "CHECKSUM.SHA512.asc").read_bytes())
    tree.publish(LATEST, {NAME: CONTENT + b"another"})
    with pytest.raises(InfrastructureError, match="signature: .* the release tree has sha512:"):
        resolver_with(tree, cache, client, GOLDEN / "keyring.gpg").resolve("15.1", Variant())


def test_a_signature_that_is_asked_and_missing_is_an_error(
    resolver: Resolver, tree: ReleaseTree, cache: Cache, client: Client
) -> None:
    careful = resolver_with(tree, cache, client, GOLDEN / "keyring.gpg")
    with pytest.raises(InfrastructureError, match="signature: .*-vm.asc: not found") as error:
        careful.resolve("15.1", Variant())
    assert "--signatures" in (error.value.hint or "")
    assert careful.resolve("15.1-STABLE", Variant()).signature is Signature.NOT_PUBLISHED


def test_a_keyring_that_is_not_there_is_a_usage_error(
    resolver: Resolver, tree: ReleaseTree, cache: Cache, client: Client
) -> None:
    tree.write(f"site/{SIGNED}", b"")
    with pytest.raises(UsageError, match="there is no keyring /nothing.gpg"):
        resolver_with(tree, cache, client, Path("/nothing.gpg")).resolve("15.1", Variant())


# URLs and paths ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("http://h/a/i.raw", ImageRef("i.raw", "http://h/a/i.raw")),
        ("https://h/i.xz?v=1", ImageRef("i.xz", "https://h/i.xz?v=1")),
        (
            f"https://h/i.xz#sha256={'AB' * 32}",
            ImageRef("i.xz", "https://h/i.xz", Digest("sha256", "ab" * 32)),
        ),
        (
            f"https://h/i.xz#sha512={'ab' * 64}",
            ImageRef("i.xz", "https://h/i.xz", Digest("sha512", "ab" * 64)),
        ),
    ],
)
def test_a_url_is_an_image(resolver: Resolver, text: str, ref: ImageRef) -> None:
    assert resolver.resolve(text, Variant()) == ref


@pytest.mark.parametrize(
    "text",
    [
        "ftp://h/i.xz",
        "http:///i.xz",
        "https://h/folder/",
        "https://h/i.xz#sha256=ab",
        f"https://h/i.xz#md5={'ab' * 16}",
        "https://h/i.xz#top",
    ],
)
def test_another_url_is_a_usage_error(resolver: Resolver, text: str) -> None:
    with pytest.raises(UsageError, match="resolve: "):
        resolver.resolve(text, Variant())


def test_a_path_is_an_image(
    resolver: Resolver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "local.qcow2"
    path.write_bytes(CONTENT)
    assert resolver.resolve(str(path), Variant()) == ImageRef("local.qcow2", path)
    monkeypatch.chdir(tmp_path)
    assert resolver.resolve("local.qcow2", Variant()) == ImageRef("local.qcow2", path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolver.resolve("~/local.qcow2", Variant()) == ImageRef("local.qcow2", path)


@pytest.mark.parametrize("text", ["nothing.qcow2", "./15.1", "/nothing"])
def test_a_path_without_a_file_is_a_usage_error(resolver: Resolver, text: str) -> None:
    with pytest.raises(UsageError, match="resolve: there is no file"):
        resolver.resolve(text, Variant())


def test_a_busy_server_is_asked_again(resolver: Resolver, tree: ReleaseTree) -> None:
    tree.fail(f"{LATEST}/CHECKSUM.SHA512", release_tree.status(503))
    assert resolver.resolve("15.1", Variant()).name == NAME
