# SPDX-License-Identifier: Apache-2.0
"""Downloads from a server that cuts, slows down, leads elsewhere or refuses."""

import errno
import hashlib
import io
import random
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
from fakes import release_tree
from fakes.progress import Recorder
from fakes.release_tree import ReleaseTree

from bsdgate.harness import files
from bsdgate.harness.errors import InfrastructureError, UsageError
from bsdgate.harness.images.client import Client, Deadline, NotFound
from bsdgate.harness.images.download import Download, remove
from bsdgate.harness.images.model import Digest
from bsdgate.harness.images.settings import Limits

CONTENT = random.Random(16).randbytes(3_000_000)
DIGEST = Digest("sha512", hashlib.sha512(CONTENT).hexdigest())
PATH = "releases/an-image.qcow2.xz"

Load = Callable[..., Digest]


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "an-image.part"


@pytest.fixture
def load(tree: ReleaseTree, part: Path, recorder: Recorder, limits: Limits) -> Load:
    """Download the image to ``part``."""
    tree.write(PATH, CONTENT)

    def call(url: str | None = None, *, verified: bool = True, **changed: Any) -> Digest:
        client = Client(replace(limits, **changed))
        url = url or f"{tree.url}/{PATH}"
        with Download(client, url, part, "sha512", recorder, verified=verified) as made:
            return made.run()

    return call


def test_the_digest_of_the_file_is_returned_and_progress_is_reported(
    load: Load, part: Path, recorder: Recorder
) -> None:
    assert load() == DIGEST
    assert part.read_bytes() == CONTENT
    assert recorder.stages == [("download", "an-image.qcow2.xz", len(CONTENT))]
    assert recorder.done[0] == 0
    assert recorder.done[-1] == len(CONTENT)


def test_a_cut_connection_is_continued_where_it_was_cut(
    load: Load, part: Path, tree: ReleaseTree
) -> None:
    tree.fail(PATH, release_tree.cut(1_000_000), release_tree.cut(500_000))
    assert load() == DIGEST
    assert part.read_bytes() == CONTENT
    assert tree.ranges(PATH) == [None, "bytes=1000000-", "bytes=1500000-"]


def test_more_cuts_than_tries_are_no_problem_while_each_try_brings_something(
    load: Load, tree: ReleaseTree
) -> None:
    tree.fail(PATH, *[release_tree.cut(100_000)] * 10)
    assert load(tries=2) == DIGEST


def test_a_silent_connection_is_replaced_by_a_new_one(load: Load, tree: ReleaseTree) -> None:
    tree.fail(PATH, release_tree.silent(1_000_000))
    assert load() == DIGEST
    assert tree.ranges(PATH) == [None, "bytes=1000000-"]


def test_an_interrupted_download_is_continued_by_the_next_command(
    load: Load, part: Path, tree: ReleaseTree, recorder: Recorder
) -> None:
    tree.fail(PATH, release_tree.cut(2_000_000), *[release_tree.status(503)] * 2)
    with pytest.raises(InfrastructureError) as error:
        load()
    assert f"download: {tree.url}/{PATH}: the server answered 503" in str(error.value)
    assert "it continues after 2000000 bytes" in str(error.value)
    assert part.stat().st_size == 2_000_000
    recorder.done.clear()
    assert load() == DIGEST
    assert tree.ranges(PATH)[-1] == "bytes=2000000-"
    assert recorder.done[0] == 2_000_000


def test_a_complete_file_is_not_downloaded_again(load: Load, tree: ReleaseTree) -> None:
    load()
    assert load() == DIGEST
    assert tree.ranges(PATH)[-1] == f"bytes={len(CONTENT)}-"


@pytest.mark.parametrize("size", [1_000, 4_000_000])
def test_a_file_that_changed_on_the_server_is_downloaded_from_its_beginning(
    load: Load, part: Path, tree: ReleaseTree, size: int
) -> None:
    tree.fail(PATH, release_tree.cut(2_000_000), *[release_tree.status(503)] * 2)
    with pytest.raises(InfrastructureError):
        load()
    other = random.Random(17).randbytes(size)
    tree.write(PATH, other)
    assert load() == Digest("sha512", hashlib.sha512(other).hexdigest())
    assert part.read_bytes() == other


def test_the_part_of_a_shorter_file_is_given_up(load: Load, part: Path, tree: ReleaseTree) -> None:
    part.write_bytes(CONTENT + b"more")
    assert load() == DIGEST


def test_a_server_without_ranges_sends_all_again(load: Load, part: Path, tree: ReleaseTree) -> None:
    tree.fail(PATH, release_tree.cut(1_000_000), release_tree.plain)
    assert load() == DIGEST
    assert part.read_bytes() == CONTENT


def test_another_part_than_the_asked_one_is_not_used(
    load: Load, part: Path, tree: ReleaseTree
) -> None:
    tree.fail(PATH, release_tree.cut(1_000_000), release_tree.other_part)
    assert load() == DIGEST
    assert tree.ranges(PATH) == [None, "bytes=1000000-", None]


@pytest.mark.parametrize(("verified", "asked"), [(True, "bytes=1000000-"), (False, None)])
def test_without_a_validator_only_a_file_with_a_known_checksum_is_continued(
    load: Load, tree: ReleaseTree, verified: bool, asked: str | None
) -> None:
    fault = release_tree.without_etag(1_000_000)
    tree.fail(PATH, fault, *[release_tree.status(503)] * 2)
    with pytest.raises(InfrastructureError):
        load(verified=verified)
    assert load(verified=verified) == DIGEST
    assert tree.ranges(PATH)[-1] == asked


def test_a_redirect_is_followed(load: Load, tree: ReleaseTree) -> None:
    tree.fail("mirror/an-image.xz", release_tree.redirect(f"{tree.url}/{PATH}"))
    assert load(f"{tree.url}/mirror/an-image.xz") == DIGEST


def test_a_redirect_without_end_is_an_error(load: Load, tree: ReleaseTree) -> None:
    tree.fail("loop", *[release_tree.redirect(f"{tree.url}/loop")] * 40)
    with pytest.raises(InfrastructureError, match="download: .*/loop: too many redirects"):
        load(f"{tree.url}/loop")


def lead_to(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Let each request be answered by another server, after redirects."""

    def get(*_: object, **__: object) -> requests.Response:
        response = requests.Response()
        response.status_code, response.url, response.raw = 200, url, io.BytesIO()
        return response

    monkeypatch.setattr(requests.Session, "get", get)


def test_a_redirect_from_an_encrypted_server_to_another_kind_is_refused(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    deadline = Deadline(client.limits)
    lead_to(monkeypatch, "https://mirror/image")
    assert client.open("https://a/image", {}, "download", deadline).url == "https://mirror/image"
    lead_to(monkeypatch, "http://mirror/image")
    with pytest.raises(InfrastructureError, match="it leads to http://mirror/image, which is not"):
        client.open("https://a/image", {}, "download", deadline)


def test_a_slow_server_meets_the_time_limit(load: Load, tree: ReleaseTree) -> None:
    tree.fail(PATH, release_tree.slow)
    with pytest.raises(InfrastructureError) as error:
        load(total=0.5)
    assert "the time limit of 0.5 s is over" in str(error.value)
    assert "--download-timeout" in str(error.value)


def test_a_server_that_is_always_silent_is_an_error(load: Load, tree: ReleaseTree) -> None:
    tree.fail(PATH, *[release_tree.silent(0)] * 2)
    with pytest.raises(InfrastructureError, match="the server sent nothing for 0.2 s"):
        load(silence=0.2)


def test_an_unreachable_server_is_an_error_that_names_it(load: Load) -> None:
    with pytest.raises(InfrastructureError) as error:
        load("http://127.0.0.1:9/an-image.xz")
    assert error.value.message == "download: http://127.0.0.1:9/an-image.xz: Connection refused"
    assert "proxy" in (error.value.hint or "")


def test_what_is_not_there_is_not_tried_again(load: Load, tree: ReleaseTree) -> None:
    with pytest.raises(NotFound, match=r"download: .*/nothing.xz: not found \(404\)"):
        load(f"{tree.url}/nothing.xz")
    assert len(tree.requests) == 1


def test_a_refusal_is_not_tried_again(load: Load, tree: ReleaseTree) -> None:
    tree.fail(PATH, release_tree.status(403))
    with pytest.raises(InfrastructureError, match="the server answered 403 Forbidden"):
        load()


def test_a_url_that_is_none_is_a_usage_error(load: Load) -> None:
    with pytest.raises(UsageError, match="is not a URL"):
        load("http://")


def test_a_password_in_the_url_is_not_shown(load: Load, tree: ReleaseTree) -> None:
    url = tree.url.replace("://", "://ann:secret@")
    with pytest.raises(NotFound) as error:
        load(f"{url}/nothing.xz")
    assert "secret" not in str(error.value)


def test_a_disk_without_room_is_found_before_it_is_full(
    load: Load, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage(NamedTuple):
        free: int

    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(2_999_999))
    with pytest.raises(InfrastructureError) as error:
        load()
    assert "3000000 bytes are needed, 2999999 are free" in error.value.message
    assert "BSDGATE_CACHE_DIR" in (error.value.hint or "")
    assert part.read_bytes() == b""


def test_a_full_disk_is_an_error_and_the_download_can_be_continued(
    load: Load, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = files.write_all

    def full(fd: int, data: bytes) -> None:
        if part.stat().st_size > 1_000_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(fd, data)

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_all", full)
        with pytest.raises(InfrastructureError, match="download: no room to write") as error:
            load()
    assert "make room" in (error.value.hint or "")
    assert load() == DIGEST


def test_a_part_is_removed_with_its_validator(load: Load, part: Path, tree: ReleaseTree) -> None:
    tree.fail(PATH, release_tree.cut(1_000), *[release_tree.status(503)] * 2)
    with pytest.raises(InfrastructureError):
        load()
    beside = sorted(each.name for each in part.parent.glob("an-image*"))
    assert beside == ["an-image.json", "an-image.part"]
    remove(part)
    assert not list(part.parent.glob("an-image*"))


def test_a_small_document_is_read_again_after_a_cut(client: Client, tree: ReleaseTree) -> None:
    url = tree.write("CHECKSUM.SHA512", b"the list\n")
    tree.fail("CHECKSUM.SHA512", release_tree.cut(3))
    assert client.text(url, "list of checksums") == "the list\n"


def test_a_document_that_is_too_large_is_refused(client: Client, tree: ReleaseTree) -> None:
    url = tree.write("CHECKSUM.SHA512", b"x" * 5_000_000)
    with pytest.raises(InfrastructureError, match="list of checksums: .* more than"):
        client.text(url, "list of checksums")


def test_the_pause_between_two_tries_ends_with_the_time_limit(
    tree: ReleaseTree, limits: Limits
) -> None:
    url = tree.write("CHECKSUM.SHA512", b"the list\n")
    tree.fail("CHECKSUM.SHA512", release_tree.status(503), release_tree.status(503))
    began = time.monotonic()
    with pytest.raises(InfrastructureError, match="the server answered 503"):
        Client(replace(limits, total=0.5, pause=60)).text(url, "list")
    assert 0.4 < time.monotonic() - began < 30


def test_a_document_that_is_always_cut_is_an_error(client: Client, tree: ReleaseTree) -> None:
    url = tree.write("CHECKSUM.SHA512", b"the list\n")
    tree.fail("CHECKSUM.SHA512", *[release_tree.cut(3)] * 2)
    with pytest.raises(InfrastructureError, match="list: .*: the connection was cut"):
        client.text(url, "list")
