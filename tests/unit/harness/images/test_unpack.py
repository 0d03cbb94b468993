# SPDX-License-Identifier: Apache-2.0
"""Unpacking of images."""

import errno
import hashlib
import random
from pathlib import Path

import pytest
from fakes import disks
from fakes.progress import Recorder

from bsdgate.harness import files
from bsdgate.harness.errors import InfrastructureError
from bsdgate.harness.images.disk import DamagedImage
from bsdgate.harness.images.unpack import digest, is_compressed, unpack

CONTENT = disks.raw() + random.Random(16).randbytes(300_000)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "source"


@pytest.mark.parametrize(
    ("packed", "content"),
    [
        (CONTENT, CONTENT),
        (disks.xz(CONTENT), CONTENT),
        # Files of xz may be concatenated.
        (disks.xz(CONTENT) * 2, CONTENT * 2),
    ],
)
def test_the_content_and_its_checksum_are_the_same_whatever_the_compression(
    tmp_path: Path, source: Path, recorder: Recorder, packed: bytes, content: bytes
) -> None:
    source.write_bytes(packed)
    sha256 = unpack(source, tmp_path / "target", "an image", recorder)
    assert (tmp_path / "target").read_bytes() == content
    assert sha256 == hashlib.sha256(content).hexdigest()
    assert recorder.stages == [("unpack", "an image", len(packed))]
    assert recorder.done[-1] == len(packed)


def test_zeros_take_no_room_and_stay_at_the_end(
    tmp_path: Path, source: Path, recorder: Recorder
) -> None:
    content = b"FreeBSD " * 65536 + bytes(64 << 20)
    source.write_bytes(disks.xz(content))
    unpack(source, tmp_path / "target", "an image", recorder)
    made = (tmp_path / "target").stat()
    assert made.st_size == len(content)
    assert made.st_blocks * 512 < len(content) // 8
    assert digest(tmp_path / "target", "sha256", "verify", "an image", recorder) == (
        hashlib.sha256(content).hexdigest()
    )


@pytest.mark.parametrize(
    ("packed", "problem"),
    [
        (disks.xz(CONTENT)[:-40], "the compressed file is truncated"),
        (disks.xz(CONTENT)[:3000], "the compressed file is truncated"),
        (
            disks.xz(CONTENT).replace(CONTENT[-900:-800], bytes(100)),
            "the compressed file is damaged",
        ),
    ],
)
def test_a_damaged_file_is_an_error(
    tmp_path: Path, source: Path, recorder: Recorder, packed: bytes, problem: str
) -> None:
    source.write_bytes(packed)
    with pytest.raises(DamagedImage, match=f"unpack: an image: {problem}"):
        unpack(source, tmp_path / "target", "an image", recorder)


def test_a_full_disk_is_an_error(
    tmp_path: Path, source: Path, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    source.write_bytes(disks.xz(CONTENT))
    monkeypatch.setattr(files, "write_all", full)
    with pytest.raises(InfrastructureError, match="unpack: an image: no room to write .*target"):
        unpack(source, tmp_path / "target", "an image", recorder)


def test_compression_is_seen_in_the_content(source: Path) -> None:
    source.write_bytes(disks.xz(b""))
    assert is_compressed(source)
    source.write_bytes(b"\xfd7zX")
    assert not is_compressed(source)
