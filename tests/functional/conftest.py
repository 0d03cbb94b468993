# SPDX-License-Identifier: Apache-2.0
"""Fixtures for tests of real programs: a place to run them, and packages that are built once."""

import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from functional.hooked import Hooked
from functional.place import ODD, Place
from xdist.scheduler import LoadScopeScheduling

OF_CHANGES = (
    "test_attribution",
    "test_environment",
    "test_hang",
    "test_index",
    "test_run",
    "test_untrusted",
)
"""Run these tests in one process: some of them alter the base, which fails other tests."""


class ByModule(LoadScopeScheduling):
    """Runs the tests of a module in one process: they share a place, and have an order."""

    def _split_scope(self, nodeid: str) -> str:
        module = Path(nodeid.partition("::")[0]).stem
        return "base" if module in OF_CHANGES else module


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByModule:
    """Return the scheduler that assigns tests to processes."""
    return ByModule(config, log)


@pytest.fixture(scope="session")
def cache(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache directory for all tests of all processes."""
    root = tmp_path_factory.getbasetemp()
    if hasattr(request.config, "workerinput"):
        root = root.parent
    folder = root / f"cache {ODD}"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def place(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Return a place for the tests of one module."""
    place = Place(tmp_path_factory.mktemp(f"place {ODD}"), cache)
    yield place
    place.close()


@pytest.fixture(scope="session")
def sdist(uv: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fetch a released Keystone. A session fixture runs before the network is closed."""
    folder = tmp_path_factory.mktemp("sdist")
    subprocess.run([uv, "venv", "--quiet", "--seed", folder / "pip"], check=True)
    pip = [str(folder / "pip" / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    wanted = ["--no-deps", "--no-binary", ":all:", "--dest", str(folder), "keystone==30.0.0"]
    subprocess.run([*pip, "download", "--quiet", *wanted], check=True)
    return folder / "keystone-30.0.0.tar.gz"


@pytest.fixture(scope="session")
def hooked_checkout(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Hooked:
    """Unpack a released Keystone, and add the hook."""
    folder = tmp_path_factory.mktemp("hooked")
    return Hooked.make(unpack(sdist, folder / "sources"), folder / "code.py")


@pytest.fixture
def hooked(request: pytest.FixtureRequest, hooked_checkout: Hooked) -> Hooked:
    """Return the checkout with the hook; its code file is empty."""
    of_changes(request)
    hooked_checkout.plant("")
    return hooked_checkout


def unpack(sdist: Path, into: Path) -> Path:
    """Unpack a source distribution; return its directory."""
    with tarfile.open(sdist) as archive:
        archive.extractall(into, filter="data")
    (found,) = into.iterdir()
    return found


def of_changes(request: pytest.FixtureRequest) -> None:
    """Check that the module of the test runs in the process of the base."""
    assert request.path.stem in OF_CHANGES, f"add {request.path.stem} to OF_CHANGES"


@pytest.fixture
def checkout(request: pytest.FixtureRequest, sdist: Path, tmp_path: Path) -> Path:
    """Unpack a released Keystone, to use as a checkout with a change."""
    of_changes(request)
    return unpack(sdist, tmp_path / "sources")
