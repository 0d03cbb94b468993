# SPDX-License-Identifier: Apache-2.0
"""The place in which the campaigns of a module run bsdgate, and the state of a Zuul."""

from collections.abc import Iterator

import pytest
from functional.conftest import sdist, shared, zuul_home
from functional.place import Place

__all__ = ("sdist", "shared", "zuul_home")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Return a place with its own state and its own cache."""
    root = tmp_path_factory.mktemp("place")
    place = Place(root, root / "cache")
    yield place
    place.close()
