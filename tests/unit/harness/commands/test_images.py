# SPDX-License-Identifier: Apache-2.0
"""The commands for images, against a release tree on a local server."""

import hashlib
import io
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import disks, release_tree
from fakes.release_tree import ReleaseTree, serving
from rich.console import Console
from unit.harness.commands.calls import Call, Ended, caller

from bsdgate.harness.commands import image_display
from bsdgate.harness.commands.image_display import ImageDisplay, size
from bsdgate.harness.profiles import matrix

CONTENT = disks.qcow2()
NAME = "FreeBSD-15.1-RELEASE-amd64-BASIC-CLOUDINIT-ufs.qcow2"
LATEST = "releases/VM-IMAGES/15.1-RELEASE/amd64/Latest"
END, STABLE_END = map(matrix.end_of_life, ("15.1", "stable/15"))
STABLE = "FreeBSD-15.1-STABLE-amd64-BASIC-CLOUDINIT-20261119-2222222bbbbb-281077-zfs.qcow2"


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[ReleaseTree]:
    with serving(tmp_path / "tree") as tree:
        tree.publish(LATEST, {f"{NAME}.xz": disks.xz(CONTENT)})
        snapshots = "snapshots/VM-IMAGES/15.1-STABLE/amd64"
        tree.publish(
            f"{snapshots}/20261119",
            {f"{STABLE}.xz": disks.xz(CONTENT + CONTENT)},
            "-20261119-2222222bbbbb-281077",
            f"{snapshots}/Latest",
        )
        yield tree


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "images"


@pytest.fixture
def call(
    tree: ReleaseTree,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Call:
    """Run the command line, with the cache and the tree of this test."""
    monkeypatch.setenv("BSDGATE_CACHE_DIR", str(cache.parent))
    monkeypatch.setenv("BSDGATE_IMAGE_TREE", tree.url)
    return caller("image", monkeypatch, capsys)


def fact(ended: Ended, name: str) -> str:
    (line,) = (line for line in ended.out.splitlines() if line.startswith(f"{name} "))
    return line.removeprefix(name).strip()


def test_a_fetched_image_is_described(call: Call, cache: Path) -> None:
    ended = call("fetch", "15.1")
    assert ended.code == 0
    assert fact(ended, "image") == NAME
    assert Path(fact(ended, "path")).read_bytes() == CONTENT
    assert Path(fact(ended, "path")).is_relative_to(cache)
    assert fact(ended, "sha256") == hashlib.sha256(CONTENT).hexdigest()
    digest = hashlib.sha512(disks.xz(CONTENT)).hexdigest()
    assert fact(ended, "checksum") == f"sha512:{digest}, as published"
    assert fact(ended, "signature") == "not checked: give --keyring"


def test_an_image_is_fetched_once(call: Call, tree: ReleaseTree) -> None:
    first = call("fetch", "15.1")
    asked = len(tree.requests)
    assert call("fetch", "15.1-RELEASE") == first
    assert len(tree.requests) == asked


def test_another_architecture_and_file_system_are_options(call: Call, tree: ReleaseTree) -> None:
    name = "FreeBSD-15.1-RELEASE-arm64-aarch64-zfs.raw"
    folder = "releases/VM-IMAGES/15.1-RELEASE/aarch64/Latest"
    tree.publish(folder, {f"{name}.xz": disks.xz(disks.raw())})
    options = ["--architecture", "aarch64", "--filesystem", "zfs", "--format", "raw"]
    ended = call("fetch", *options, "--flavour", "PLAIN", "15.1")
    assert fact(ended, "image") == name
    assert fact(ended, "format") == "raw"


def test_a_snapshot_has_no_published_signature(call: Call) -> None:
    ended = call("fetch", "15.1-STABLE", "--filesystem", "zfs")
    assert fact(ended, "image") == STABLE
    assert fact(ended, "signature") == "none is published for this image"


def test_a_local_file_and_a_url_are_images(call: Call, tree: ReleaseTree, tmp_path: Path) -> None:
    local = tmp_path / "local.qcow2"
    local.write_bytes(CONTENT)
    ended = call("fetch", local)
    assert fact(ended, "path") == str(local)
    assert fact(ended, "checksum") == "none is published: a local file"
    ended = call("fetch", f"{tree.url}/{LATEST}/{NAME}.xz")
    assert Path(fact(ended, "path")).read_bytes() == CONTENT
    assert fact(ended, "checksum") == "none is published for this location"


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("15.1-RELAESE", 2, "the nearest is 15.1-RELEASE"),
        ("15.3", 2, "the nearest is 15.1-RELEASE"),
        ("./nothing.qcow2", 2, "there is no file nothing.qcow2"),
        ("http://127.0.0.1:9/i.xz", 3, "download: http://127.0.0.1:9/i.xz: Connection refused"),
    ],
)
def test_an_image_that_cannot_be_had_is_an_error(
    call: Call, name: str, code: int, message: str
) -> None:
    ended = call("fetch", name)
    assert ended.code == code
    assert message in ended.err
    assert ended.out == ""


def test_a_wrong_checksum_ends_with_3(call: Call, tree: ReleaseTree) -> None:
    tree.write(f"{LATEST}/{NAME}.xz", b"something else")
    ended = call("fetch", "15.1")
    assert ended.code == 3
    assert "verify: " in ended.err
    assert "wrong checksum" in ended.err
    assert call("list").out.startswith("no image is in the cache")


def test_the_time_limit_is_an_option(call: Call, tree: ReleaseTree) -> None:
    tree.fail(f"{LATEST}/{NAME}.xz", release_tree.silent(100))
    ended = call("fetch", "--download-timeout", "0.3", "15.1")
    assert ended.code == 3
    assert "the time limit of 0.3 s is over" in ended.err
    assert "it continues after 100 bytes" in ended.err
    listed = call("list").out
    assert re.search(rf"^[\d.]+ KiB +now +incomplete {NAME}.xz$", listed, re.MULTILINE)


def test_the_list_has_sizes_and_ages(call: Call) -> None:
    assert call("list").out == "no image is in the cache: `bsdgate image fetch 15.1` gets one\n"
    path = Path(fact(call("fetch", "15.1"), "path"))
    used = time.time() - 3 * 86400 - 60
    os.utime(path.parent, (used, used))
    head, row = call("list").out.splitlines()
    assert re.split(" {2,}", head) == [
        "size",
        "fetched",
        "used",
        "signature",
        "end of life",
        "name",
    ]
    expected = rf"[\d.]+ KiB +now +3 d ago +not checked +{END} +{re.escape(NAME)}"
    assert re.fullmatch(expected, row)
    path.chmod(0o600)
    path.write_bytes(b"cut")
    assert call("list").out.endswith(f"{NAME} (damaged)\n")


def test_the_published_versions_are_listed(call: Call) -> None:
    listed = f"15.1-RELEASE     end of life {END}\n15.1-STABLE      end of life {STABLE_END}\n"
    assert call("list", "--published").out == listed
    ended = call("list", "--published", "--tree", "http://127.0.0.1:9")
    assert ended.code == 3
    assert "index: http://127.0.0.1:9/releases/VM-IMAGES/: Connection refused" in ended.err


def test_a_version_without_an_end_of_life_is_only_named(call: Call, tree: ReleaseTree) -> None:
    tree.publish("releases/VM-IMAGES/15.7-RELEASE/amd64/Latest", {f"{NAME}.xz": disks.xz(CONTENT)})
    assert "15.7-RELEASE\n" in call("list", "--published").out


def test_an_image_is_verified_again(call: Call) -> None:
    assert call("verify").out.startswith("no image is in the cache")
    path = Path(fact(call("fetch", "15.1"), "path"))
    call("fetch", "15.1-STABLE", "--filesystem", "zfs")
    ended = call("verify")
    assert ended.code == 0
    assert sorted(ended.out.splitlines()) == [f"{NAME}: unchanged", f"{STABLE}: unchanged"]
    path.chmod(0o600)
    path.write_bytes(CONTENT[:-1] + b"!")
    ended = call("verify")
    assert ended.code == 3
    assert f"{NAME}: {path} has changed: sha256:" in ended.out
    assert "1 of 2 images are damaged" in ended.err
    assert call("verify", STABLE).code == 0


@pytest.mark.parametrize("command", ["verify", "prune"])
def test_a_name_that_is_not_in_the_cache_is_a_usage_error(call: Call, command: str) -> None:
    call("fetch", "15.1")
    ended = call(command, NAME.replace("ufs", "zfs"))
    assert ended.code == 2
    assert f"the nearest is {NAME}" in ended.err
    assert call("verify").code == 0


def test_prune_says_what_it_has_removed(call: Call, cache: Path) -> None:
    path = Path(fact(call("fetch", "15.1"), "path"))
    assert call("prune").out == "0 removed, 0 B\n"
    used = time.time() - 31 * 86400
    os.utime(path.parent, (used, used))
    lines = call("prune").out.splitlines()
    assert re.fullmatch(rf"removed {re.escape(NAME)} \([\d.]+ KiB\)", lines[0])
    assert re.fullmatch(r"1 removed, [\d.]+ KiB", lines[1])
    assert not path.exists()


@pytest.mark.parametrize("options", [["--all"], ["--older-than", "0"], [f"{NAME}.xz"]])
def test_prune_removes_what_is_named(call: Call, options: list[str]) -> None:
    path = Path(fact(call("fetch", "15.1"), "path"))
    assert "1 removed" in call("prune", *options).out
    assert not path.exists()


def test_prune_takes_one_choice_only(call: Call) -> None:
    ended = call("prune", "--all", NAME)
    assert ended.code == 2
    assert "give one of --older-than, --all and NAME" in ended.err


def test_prune_removes_incomplete_downloads(call: Call, tree: ReleaseTree, cache: Path) -> None:
    tree.fail(f"{LATEST}/{NAME}.xz", release_tree.silent(100))
    call("fetch", "--download-timeout", "0.3", "15.1")
    assert call("prune").out == "0 removed, 0 B\n"
    assert f"removed incomplete {NAME}.xz" in call("prune", "--all").out
    assert not list((cache / "parts").iterdir())


def test_a_cache_that_cannot_be_written_is_a_usage_error(call: Call, cache: Path) -> None:
    cache.parent.write_text("a file")
    ended = call("fetch", "15.1")
    assert ended.code == 2
    assert f"may not write {cache.parent}" in ended.err


# The display ---------------------------------------------------------------------------------


def output(terminal: bool) -> tuple[Console, io.StringIO]:
    text = io.StringIO()
    return Console(file=text, width=120, force_terminal=terminal), text


def test_a_short_stage_is_not_shown() -> None:
    console, text = output(terminal=False)
    with ImageDisplay(console) as display:
        display.stage("download", "an image", 3 << 20)
        display.advance(1 << 20)
    assert text.getvalue() == ""


def test_a_long_stage_has_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    console, text = output(terminal=False)
    monkeypatch.setattr(image_display, "PROGRESS_AFTER", 0)
    with ImageDisplay(console) as display:
        display.stage("download", "an [image]", 3 << 20)
        display.advance(1 << 20)
        display.advance(2 << 20)
        display.stage("wait for another process", "an [image]")
    assert text.getvalue().splitlines() == [
        "download: an [image]: 1.0 MiB of 3.0 MiB",
        "wait for another process: an [image]",
    ]


def test_a_long_stage_has_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    console, text = output(terminal=True)
    monkeypatch.setattr(image_display, "PROGRESS_AFTER", 0)
    with ImageDisplay(console) as display:
        display.stage("download", "an [image]", 3 << 20)
        display.advance(1 << 20)
    assert "download: an [image]" in text.getvalue()


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (5 << 30, "5.0 GiB"),
        (5 << 40, "5120.0 GiB"),
    ],
)
def test_sizes_are_readable(number: int, text: str) -> None:
    assert size(number) == text
