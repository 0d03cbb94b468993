# SPDX-License-Identifier: Apache-2.0
"""The speed of downloads of images, against curl and sha512sum: printed, not asserted.

``tox -e bench -- tests/benchmarks/test_images.py``; the two take turns, on one server.
"""

import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.release_tree import serving

from bsdgate.harness.images.client import Client
from bsdgate.harness.images.download import Download, remove
from bsdgate.harness.images.progress import Silent
from bsdgate.harness.images.settings import Limits

MIB = 256
TURNS = 5


def seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is missing")
def test_a_download_with_its_checksum(tmp_path: Path) -> None:
    with serving(tmp_path / "tree") as tree:
        url = tree.write("image.xz", os.urandom(MIB << 20))
        by_curl, ours = tmp_path / "curl", tmp_path / "ours.part"

        def curl() -> None:
            subprocess.run(["curl", "--silent", "--output", by_curl, url], check=True)
            subprocess.run(["sha512sum", by_curl], check=True, stdout=subprocess.DEVNULL)
            by_curl.unlink()

        def bsdgate() -> None:
            with Download(Client(Limits()), url, ours, "sha512", Silent(), verified=True) as made:
                made.run()
            remove(ours)

        times = [(seconds(curl), seconds(bsdgate)) for _ in range(TURNS)]
    theirs, mine = (statistics.median(each) for each in zip(*times, strict=True))
    print(f"\n  {MIB} MiB: curl and sha512sum {theirs:.2f} s, bsdgate {mine:.2f} s")
    print(f"  ratio {mine / theirs:.2f}, at most 1.1 is required")
