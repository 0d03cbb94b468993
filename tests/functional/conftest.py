# SPDX-License-Identifier: Apache-2.0
"""Fixtures for tests of real programs: a place to run them, and packages that are built once."""

import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from functional import gerrit
from functional.hooked import Hooked
from functional.place import BIN, ODD, Place
from functional.shared import FirstUp, locked, made_once
from functional.zuul_stack import stack
from functional.zuul_stack.stack import Stack
from xdist.scheduler import LoadScopeScheduling

ALTER_THE_BASE = ("test_environment", "test_untrusted")
"""The modules with tests that write to the base; a run with a change must not see this."""

FIRST = (
    *ALTER_THE_BASE,
    "test_qemu_node",
    "test_zuul_stack",
    "test_standing",
    "test_hang",
    "test_bootstrap",
    "test_ssh_run",
    "test_zuul_run",
    "test_run_stopped",
    "test_run",
    "test_package",
    "test_services",
    "test_attribution",
    "test_cloud",
    "test_cloud_left",
    "test_freebsd_likeness",
    "test_run_killed",
    "test_cloud_killed",
)
"""The modules that begin first. The others are shorter: no process is long alone at the end."""

TEMPLATES = ("embedded", "keystone")
"""The profiles of the clouds that most tests start."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the tests: the modules of ``FIRST`` are the first."""
    order = {name: place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


class ByModule(LoadScopeScheduling):
    """Runs the tests of a module in one process: they share a place, and have an order."""

    def _split_scope(self, nodeid: str) -> str:
        module = Path(nodeid.partition("::")[0]).stem
        # In two processes they would wait for each other.
        if module in ALTER_THE_BASE:
            return "base"
        # All tests of Zuul use one stack.
        return "zuul" if module.startswith("test_zuul_stack") else module

    def _reschedule(self, node: Any) -> None:
        """Assign the next module when the last test of a module begins, not the test before it."""
        if not self.workqueue or self._pending_of(self.assigned_work[node]) < 2:
            super()._reschedule(node)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByModule:
    """Return the scheduler that assigns tests to processes."""
    # By default, the modules with the most tests would be the first.
    config.option.loadscopereorder = False
    return ByModule(config, log)


@pytest.fixture(scope="session")
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory that all processes share."""
    root = tmp_path_factory.getbasetemp()
    return root.parent if hasattr(request.config, "workerinput") else root


@pytest.fixture(scope="session")
def filled_cache(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache directory with the templates that most tests need; one process makes them."""
    root = tmp_path_factory.mktemp(f"templates {ODD}")
    folder = shared / f"filled cache {ODD}"
    return made_once(folder, lambda draft: make_templates(Place(root, draft)))


@pytest.fixture(scope="session")
def cache(request: pytest.FixtureRequest, shared: Path) -> Path:
    """Return a cache directory for all tests of all processes.

    If there are several processes, it is filled: all would make templates at the same time.
    """
    if hasattr(request.config, "workerinput"):
        filled: Path = request.getfixturevalue("filled_cache")
        return filled
    folder = shared / f"cache {ODD}"
    folder.mkdir(exist_ok=True)
    return folder


def make_templates(place: Place) -> None:
    """Start and end a cloud of each of the profiles ``TEMPLATES``, and note the first start.

    With a umask of 0 the directories must still be private.
    """
    for number, profile in enumerate(TEMPLATES):
        up = 'umask 000; exec "$0" up --profile "$1"'
        done = place.start("sh", "-c", up, BIN / "bsdgate", profile).done()
        assert done.code == 0, done
        if number == 0:
            FirstUp.of(done, place.cache).write(place.cache)
        done = place.bsdgate("down")
        assert done.code == 0, done
    place.close()


@pytest.fixture(scope="module")
def place(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Return a place for the tests of one module."""
    place = Place(tmp_path_factory.mktemp(f"place {ODD}"), cache)
    yield place
    place.close()


@pytest.fixture(scope="session")
def sdist(uv: str, shared: Path) -> Path:
    """Fetch a released Keystone. A session fixture runs before the network is closed."""

    def download(folder: Path) -> None:
        subprocess.run([uv, "venv", "--quiet", "--seed", folder / "pip"], check=True)
        pip = [str(folder / "pip" / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
        wanted = ["--no-deps", "--no-binary", ":all:", "--dest", str(folder), "keystone==30.0.0"]
        subprocess.run([*pip, "download", "--quiet", *wanted], check=True)

    return made_once(shared / "sdist", download) / "keystone-30.0.0.tar.gz"


@pytest.fixture(scope="session")
def hooked_checkout(sdist: Path, shared: Path) -> Path:
    """Unpack a released Keystone, and add the hook."""
    return made_once(shared / "hooked", lambda folder: Hooked.add_hook(unpack(sdist, folder)))


@pytest.fixture
def hooked(base: None, hooked_checkout: Path, place: Place) -> Hooked:
    """Return the checkout with the hook; the code for this place is empty."""
    del base
    (checkout,) = hooked_checkout.iterdir()
    hooked = Hooked(checkout, place)
    hooked.plant("")
    return hooked


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Iterator[gerrit.Gerrit]:
    """Run a Gerrit. A session fixture runs before the network is closed."""
    try:
        home = gerrit.find(request.config.rootpath / ".tox" / "gerrit")
    except gerrit.Missing as missing:
        pytest.skip(str(missing))
    with gerrit.serving(home) as running:
        yield running


@pytest.fixture(scope="session")
def zuul_home(request: pytest.FixtureRequest, sdist: Path, shared: Path) -> stack.Home:
    """Return what a Zuul is started from; the first call makes it."""
    tox = request.config.rootpath / ".tox"
    (keystone,) = made_once(shared / "keystone", lambda folder: unpack(sdist, folder)).iterdir()
    try:
        return stack.find(tox / "zuul-stack", tox / "gerrit", tox / "zuul", keystone)
    except gerrit.Missing as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def zuul(zuul_home: stack.Home) -> Iterator[Stack]:
    """Run a Zuul with all that it needs. A session fixture runs before the network is closed."""
    with stack.serving(zuul_home) as running:
        yield running


def unpack(sdist: Path, into: Path) -> Path:
    """Unpack a source distribution; return its directory."""
    with tarfile.open(sdist) as archive:
        archive.extractall(into, filter="data")
    (found,) = into.iterdir()
    return found


@pytest.fixture
def base(request: pytest.FixtureRequest, shared: Path) -> Iterator[None]:
    """Hold the lock of the base: no other test alters it, or uses it if this test alters it."""
    with locked(shared / "base lock", alone=request.path.stem in ALTER_THE_BASE):
        yield


@pytest.fixture
def checkout(base: None, sdist: Path, tmp_path: Path) -> Path:
    """Unpack a released Keystone, to use as a checkout with a change."""
    del base
    return unpack(sdist, tmp_path / "sources")
