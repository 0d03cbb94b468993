# SPDX-License-Identifier: Apache-2.0
"""Lists of checksums."""

import pytest

from bsdgate.harness.images import checksums
from bsdgate.harness.images.model import Digest

LONG, SHORT = "ab" * 64, "cd" * 32
NAME = "FreeBSD-15.1-RELEASE-amd64-ufs.qcow2.xz"


def test_each_line_is_a_file_and_its_digest() -> None:
    text = f"SHA512 ({NAME}) = {LONG}\nSHA256 (other) = {SHORT}\n"
    assert checksums.parse(text) == {
        NAME: Digest("sha512", LONG),
        "other": Digest("sha256", SHORT),
    }


@pytest.mark.parametrize(
    "line",
    [
        f"{LONG}  {NAME}",
        f"SHA512 ({NAME}) = {LONG[:-1]}",
        f"SHA256 ({NAME}) = {LONG}",
        f"MD5 ({NAME}) = {SHORT}",
        f"SHA512 (../{NAME}) = {LONG}",
        f"# SHA512 ({NAME}) = {LONG}",
        "<html><title>404</title></html>",
    ],
)
def test_other_lines_are_ignored(line: str) -> None:
    assert checksums.parse(f"{line}\nSHA256 (last) = {SHORT}\r\n") == {
        "last": Digest("sha256", SHORT)
    }
