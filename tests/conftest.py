# SPDX-License-Identifier: Apache-2.0
"""What every test stands in: loopback only, and a home of its own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import pytest_socket

# What several modules of tests share asserts too, and is to say as much where it fails.
pytest.register_assert_rewrite("unit.results.store.contract", "unit.results.store.replacing")

LOOPBACK = ["127.0.0.1", "::1"]
# Nothing listens on the discard port: what a child process asks of the world is refused at once.
NOWHERE = "http://127.0.0.1:9"

# A machine under load makes a slow example, not a wrong one.
hypothesis.settings.register_profile("developer", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "developer")


def pytest_configure(config: pytest.Config) -> None:
    """Make the one marker of these tests known."""
    config.addinivalue_line("markers", "downloads: this test fetches what later ones need")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return three processes for two CPUs: some tests wait."""
    return 3 * (os.cpu_count() or 1) // 2


def find_uv() -> str | None:
    """Return the uv of this environment, else the machine's, if there is one."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return shutil.which("uv", path=path)


@pytest.fixture(scope="session")
def uv() -> str:
    """Return a uv, which only some tests need."""
    found = find_uv()
    if found is None:
        pytest.skip("uv is missing: run the tests through tox, or install uv")
    return found


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Replace the user's home and settings, for the tests and for all that they start."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        if uv := find_uv():
            # What uv has downloaded already is found again, wherever HOME is.
            cache = subprocess.run([uv, "cache", "dir"], check=True, capture_output=True, text=True)
            patch.setenv("UV_CACHE_DIR", cache.stdout.strip())
        for name in list(os.environ):
            if name.startswith(("OS_", "XDG_", "BSDGATE_", "TEMPEST_")):
                patch.delenv(name)
        patch.setenv("HOME", str(home))
        yield home


@pytest.fixture(autouse=True)
def loopback_only(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse connections to other machines; ``@pytest.mark.downloads`` lifts that for a test."""
    if request.node.get_closest_marker("downloads"):
        return
    pytest_socket.socket_allow_hosts(LOOPBACK, allow_unix_socket=True)
    monkeypatch.setenv("UV_OFFLINE", "1")
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, NOWHERE)
        monkeypatch.setenv(name.upper(), NOWHERE)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, ",".join([*LOOPBACK, "localhost"]))
