# SPDX-License-Identifier: Apache-2.0
"""A build gets requirements that are not installed from the user's package index."""

import functools
import json
import threading
import zipfile
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bsdgate.harness.environments import changes
from bsdgate.harness.environments.environment import Environment, prepare
from bsdgate.harness.errors import UsageError

pytestmark = [pytest.mark.timeout(600), pytest.mark.usefixtures("base")]

RELEASE = "2026.2"
SECRET = "swordfish"
BUILDER = """
import json, os, pathlib, zipfile

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    name = "keystone-30.0.0-py3-none-any.whl"
    files = {
        "keystone/__init__.py": "",
        "keystone/seen.json": json.dumps(dict(os.environ)),
        "keystone-30.0.0.dist-info/METADATA":
            "Metadata-Version: 2.1\\nName: keystone\\nVersion: 30.0.0\\n",
        "keystone-30.0.0.dist-info/WHEEL":
            "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    files["keystone-30.0.0.dist-info/RECORD"] = "".join(f"{each},,\\n" for each in files)
    with zipfile.ZipFile(pathlib.Path(wheel_directory, name), "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return name
"""


class Quiet(SimpleHTTPRequestHandler):
    """Serves files without a log."""

    def log_message(self, *_: object) -> None:
        """Write no log."""


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    """Serve an index with one package: a build backend that is not installed."""
    folder = tmp_path / "index" / "simple" / "one-builder"
    folder.mkdir(parents=True)
    name = "one_builder-1.0-py3-none-any.whl"
    (folder / "index.html").write_text(f'<a href="{name}">{name}</a>')
    info = "one_builder-1.0.dist-info"
    with zipfile.ZipFile(folder / name, "w") as wheel:
        wheel.writestr("one_builder.py", BUILDER)
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: one-builder\nVersion: 1.0")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", f"one_builder.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n")
    handler = functools.partial(Quiet, directory=str(tmp_path / "index"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/simple/"
        server.shutdown()
        thread.join()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "keystone"
    folder.mkdir()
    requires = 'requires = ["one-builder"]\nbuild-backend = "one_builder"\n'
    (folder / "pyproject.toml").write_text(f"[build-system]\n{requires}")
    return folder


def build(project: Path, cache: Path) -> Environment:
    texts = [f"keystone={project}"]
    return prepare(changes.parse_all(texts, RELEASE), RELEASE, cache, lambda _: None)


@pytest.mark.parametrize("variable", ["UV_DEFAULT_INDEX", "PIP_INDEX_URL"])
def test_a_build_uses_the_users_index(
    project: Path, index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    # The proxies of the test environment do not work: loopback is reached without a proxy.
    monkeypatch.delenv("UV_OFFLINE")
    for name in ("UV_INDEX_URL", "UV_DEFAULT_INDEX", "PIP_INDEX_URL", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, index)
    monkeypatch.setenv("UV_INDEX_SITE_PASSWORD", SECRET)
    found = build(project, tmp_path / "cache")
    assert found.changes[0].version == "30.0.0"
    (seen,) = (tmp_path / "cache").glob("environments/*/environment/lib/**/keystone/seen.json")
    env = json.loads(seen.read_text())
    assert env["UV_DEFAULT_INDEX"] == index
    assert SECRET not in env.values()


def test_an_index_with_a_password_is_refused_before_anything_is_built(
    project: Path, index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.replace("http://", f"http://me:{SECRET}@"))
    with pytest.raises(
        UsageError, match=r"UV_DEFAULT_INDEX contains a password.*me:\*\*\*@"
    ) as caught:
        build(project, tmp_path / "cache")
    assert "netrc" in str(caught.value)
    assert SECRET not in str(caught.value)
    assert not list((tmp_path / "cache").glob("environments/*/complete"))
