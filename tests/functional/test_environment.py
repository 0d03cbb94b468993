# SPDX-License-Identifier: Apache-2.0
"""Environments with a change under test, made from a released Keystone."""

import re
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from functional.place import ODD

from bsdgate.harness import process
from bsdgate.harness.environments import builds, changes
from bsdgate.harness.environments.environment import Environment, prepare
from bsdgate.harness.errors import ConfigurationError, InfrastructureError

# A test may wait until no other uses the base.
pytestmark = pytest.mark.timeout(600)

RELEASE = "2026.2"
MARK = "\nCHANGED_HERE = True\n"

Prepare = Callable[..., Environment]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp(f"cache {ODD}")


@pytest.fixture
def prepared(cache: Path) -> Prepare:
    def prepare_with(*texts: str) -> Environment:
        started = time.monotonic()
        found = prepare(changes.parse_all(texts, RELEASE), RELEASE, cache, print)
        sys.stdout.write(f"prepared in {time.monotonic() - started:.2f} s\n")
        return found

    return prepare_with


def printed_by(environment: Environment, code: str) -> str:
    done = subprocess.run(
        [environment.python, "-c", code], check=True, capture_output=True, text=True, cwd="/"
    )
    return done.stdout.strip()


def listing(folder: Path) -> set[tuple[str, int]]:
    return {(str(path), path.lstat().st_mtime_ns) for path in folder.rglob("*")}


def test_the_changed_module_is_imported(checkout: Path, prepared: Prepare) -> None:
    module = checkout / "keystone" / "version.py"
    module.write_text(module.read_text() + MARK)
    before = listing(checkout)
    found = prepared(f"keystone={checkout}")
    assert printed_by(found, "import keystone.version as v; print(v.CHANGED_HERE)") == "True"
    assert listing(checkout) == before, "the user's checkout was written to"
    (change,) = found.changes
    assert (change.project, change.version, change.source) == ("keystone", "30.0.0", str(checkout))
    assert change.identity.startswith("sha256:")


def test_other_modules_are_those_of_the_running_environment(
    checkout: Path, prepared: Prepare
) -> None:
    found = prepared(f"keystone={checkout}")
    code = "import nova, keystone, bsdgate.harness; print(nova.__file__); print(keystone.__file__)"
    nova, keystone = printed_by(found, code).splitlines()
    assert not nova.startswith(str(found.python.parents[1]))
    assert keystone.startswith(str(found.python.parents[1]))
    running = prepare([], RELEASE, checkout, print).versions()
    assert found.versions() == running
    plugins = subprocess.run(
        [found.bin / "tempest", "list-plugins"], check=True, capture_output=True, text=True
    )
    assert "bsdgate" in plugins.stdout
    assert "ironic_tests" in plugins.stdout
    manage = [str(found.bin / "keystone-manage"), "--version"]
    assert "30.0.0" in subprocess.run(manage, capture_output=True, text=True, check=True).stdout


def test_same_content_is_built_once(checkout: Path, prepared: Prepare) -> None:
    first = prepared(f"keystone={checkout}")
    moved = checkout.rename(checkout.with_name("moved"))
    second = prepared(f"keystone={moved}")
    assert second.python == first.python
    assert second.changes[0].source == str(moved)
    (moved / "keystone" / "version.py").write_text(MARK)
    assert prepared(f"keystone={moved}").python != first.python


def test_an_incomplete_environment_is_made_again(checkout: Path, prepared: Prepare) -> None:
    (checkout / "keystone" / "half.py").write_text(MARK)
    found = prepared(f"keystone={checkout}")
    (found.python.parents[2] / "complete").unlink()
    shutil.rmtree(found.python.parents[1] / "lib")
    again = prepared(f"keystone={checkout}")
    assert printed_by(again, "import keystone.half as h; print(h.CHANGED_HERE)") == "True"


def test_git_checkout_without_history_is_built_with_its_data_files(
    checkout: Path, prepared: Prepare
) -> None:
    (checkout / "PKG-INFO").unlink()
    shutil.rmtree(checkout / "keystone.egg-info")
    (checkout / "keystone" / "extra.txt").write_text("data")
    git = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "--all"], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *command], cwd=checkout, check=True)
    for source in (checkout, f"git+file://{checkout}@HEAD"):
        found = prepared(f"keystone={source}")
        code = (
            "import keystone, pathlib, importlib.metadata as m;"
            "path = pathlib.Path(keystone.__file__).with_name('extra.txt');"
            "print(m.version('keystone'), path.read_text())"
        )
        assert printed_by(found, code) == "30.0.0 data"


def test_a_requirement_that_the_release_does_not_satisfy_is_reported(
    checkout: Path, prepared: Prepare, cache: Path
) -> None:
    requirements = checkout / "requirements.txt"
    requirements.write_text(requirements.read_text() + "oslo.cache>=99.0\nno-such-thing\n")
    before = {path for path in cache.glob("environments/*") if path.is_dir()}
    with pytest.raises(
        ConfigurationError, match=r"is not compatible with OpenStack 2026\.2"
    ) as caught:
        prepared(f"keystone={checkout}")
    text = str(caught.value)
    assert "keystone 30.0.0 needs no-such-thing, but nothing is installed" in text
    assert "oslo.cache" in text
    assert {path for path in cache.glob("environments/*") if path.is_dir()} == before


def test_a_failed_build_is_reported_with_the_reason(
    checkout: Path, prepared: Prepare, cache: Path
) -> None:
    (checkout / "setup.py").write_text("raise SystemExit('planted failure')\n")
    before = {path for path in cache.glob("environments/*") if path.is_dir()}
    with pytest.raises(process.ProcessError, match="planted failure"):
        prepared(f"keystone={checkout}")
    assert {path for path in cache.glob("environments/*") if path.is_dir()} == before


WRITES = """
import os, pathlib, sysconfig
import pbr
base = pathlib.Path(pbr.__file__).parents[1]
for place in (base / "planted.pth", pathlib.Path("{elsewhere}") / "planted"):
    try:
        place.write_text("# planted\\n")
    except OSError as error:
        print("refused:", error)
own = pathlib.Path(sysconfig.get_path("purelib"))
(own / "seen.txt").write_text("\\n".join(f"{{k}}={{v}}" for k, v in os.environ.items()))
for name in ("HOME", "TMPDIR"):
    pathlib.Path(os.environ[name], "litter").write_text("")
"""
PLANTED = Path(sysconfig.get_path("purelib")) / "planted.pth"


@pytest.fixture
def hostile(checkout: Path, tmp_path: Path) -> Iterator[Path]:
    """Return a project with a build that writes to all directories that it can."""
    (tmp_path / "elsewhere").mkdir()
    setup = checkout / "setup.py"
    setup.write_text(WRITES.format(elsewhere=tmp_path / "elsewhere") + setup.read_text())
    yield checkout
    PLANTED.unlink(missing_ok=True)


@pytest.fixture
def fresh() -> Iterator[None]:
    builds.sandbox_missing.cache_clear()
    yield
    builds.sandbox_missing.cache_clear()


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
def test_a_build_writes_only_to_its_own_directory(
    hostile: Path, prepared: Prepare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    for name in ("GITHUB_TOKEN", "BSDGATE_HISTORY_URL", "SSH_AUTH_SOCK", "OS_PASSWORD"):
        monkeypatch.setenv(name, "swordfish")
    found = prepared(f"keystone={hostile}")
    assert not PLANTED.exists()
    assert list((tmp_path / "elsewhere").iterdir()) == []
    seen = (
        Path(printed_by(found, "import sysconfig as s; print(s.get_path('purelib'))")) / "seen.txt"
    )
    env = dict(line.split("=", 1) for line in seen.read_text().splitlines() if "=" in line)
    assert "swordfish" not in env.values()
    assert Path(env["HOME"]).is_relative_to(cache)
    assert not list(cache.rglob("litter"))


def test_without_a_sandbox_a_build_that_writes_to_the_base_is_refused(
    hostile: Path, prepared: Prepare, monkeypatch: pytest.MonkeyPatch, fresh: None, cache: Path
) -> None:
    real = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name, **_: None if name == "bwrap" else real(name))
    (hostile / "keystone" / "other.py").write_text("")
    before = {path for path in cache.glob("environments/*") if path.is_dir()}
    with pytest.raises(InfrastructureError, match=re.escape(str(PLANTED))):
        prepared(f"keystone={hostile}")
    assert PLANTED.exists()
    assert {path for path in cache.glob("environments/*") if path.is_dir()} == before
