# SPDX-License-Identifier: Apache-2.0
"""A release tree, a client with short time limits, and a listener that records."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.progress import Recorder
from fakes.release_tree import ReleaseTree, serving

from bsdgate.harness.images.client import Client
from bsdgate.harness.images.settings import Limits


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[ReleaseTree]:
    with serving(tmp_path / "tree") as tree:
        yield tree


@pytest.fixture
def limits() -> Limits:
    return Limits(connect=2, silence=0.3, total=20, tries=2, pause=0)


@pytest.fixture
def client(limits: Limits) -> Client:
    return Client(limits)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()
