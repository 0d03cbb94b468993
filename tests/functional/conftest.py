# SPDX-License-Identifier: Apache-2.0
"""What the tests of real programs share: a place to run them in, and what is built but once."""

import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from functional.place import ODD, Place


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of what bsdgate builds once, for all tests together."""
    return tmp_path_factory.mktemp(f"cache {ODD}")


@pytest.fixture(scope="module")
def place(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Return a user's place, which a module's tests have for themselves."""
    place = Place(tmp_path_factory.mktemp(f"place {ODD}"), cache)
    yield place
    place.close()


@pytest.fixture(scope="session")
def sdist(uv: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fetch a released Keystone. A session's fixture runs before the network is closed."""
    folder = tmp_path_factory.mktemp("sdist")
    subprocess.run([uv, "venv", "--quiet", "--seed", folder / "pip"], check=True)
    pip = [folder / "pip" / "bin" / "python", "-m", "pip", "--disable-pip-version-check"]
    wanted = ["--no-deps", "--no-binary", ":all:", "--dest", folder, "keystone==30.0.0"]
    subprocess.run([*pip, "download", "--quiet", *wanted], check=True)
    return folder / "keystone-30.0.0.tar.gz"


@pytest.fixture
def checkout(sdist: Path, tmp_path: Path) -> Path:
    """Unpack a released Keystone, as a checkout of a change to it would be."""
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "sources", filter="data")
    (found,) = (tmp_path / "sources").iterdir()
    return found
