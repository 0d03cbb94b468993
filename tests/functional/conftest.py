# SPDX-License-Identifier: Apache-2.0
"""What the tests of real programs share: a place to run them in, and what is built but once."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from functional.place import Place


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of what bsdgate builds once, for all tests together."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def place(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Return a user's place, which a module's tests have for themselves."""
    place = Place(tmp_path_factory.mktemp("place"), cache)
    yield place
    place.close()
