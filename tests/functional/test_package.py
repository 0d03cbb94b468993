# SPDX-License-Identifier: Apache-2.0
"""The package as a user installs it: sdist, then wheel, then an environment without a checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RELEASE = ROOT / "harness" / "releases" / "2026.2.txt"
TOOLS = ROOT / "constraints" / "tools.txt"
IMPORT_ROOT = ROOT / "src" / "bsdgate"
COMMIT_FILE = "bsdgate/commit.txt"

# Run by the new environment's Python: imports all modules, except those that are programs.
IMPORT_ALL = """
import importlib, pkgutil, bsdgate
found = [each.name for each in pkgutil.walk_packages(bsdgate.__path__, "bsdgate.")]
for name in found:
    if not name.endswith("__main__"):
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            # Some modules run in Zuul's environment only.
            if error.name != "zuul" or not name.startswith("bsdgate.harness.zuul."):
                raise
print(*found, sep="\\n")
"""
PURELIB = "import sysconfig; print(sysconfig.get_path('purelib'))"
LOAD_ENTRY_POINTS = """
from importlib.metadata import distribution
for point in distribution("bsdgate").entry_points:
    point.load()
    print(point.group, point.name)
"""


def files_of_the_checkout() -> set[str]:
    """Return the files that belong in a package, relative to site-packages."""
    kept = (
        path
        for folder in (IMPORT_ROOT, *(link for link in IMPORT_ROOT.iterdir() if link.is_dir()))
        for path in (folder.glob("*") if folder == IMPORT_ROOT else folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".rst"
    )
    return {f"bsdgate/{path.relative_to(IMPORT_ROOT)}" for path in kept}


def run(command: list[str | Path], cwd: Path, **changes: str) -> str:
    """Run a command outside the checkout; return its output."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= changes
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outside")


@pytest.fixture(scope="module")
def sdist(uv: str, outside: Path) -> Path:
    dist = outside / "dist"
    run([uv, "build", "--sdist", "--build-constraint", TOOLS, "--out-dir", dist, ROOT], outside)
    (found,) = dist.glob("bsdgate-*.tar.gz")
    return found


@pytest.fixture(scope="module")
def wheel(uv: str, sdist: Path, outside: Path) -> Path:
    options: list[str | Path] = ["--build-constraint", TOOLS, "--out-dir", sdist.parent]
    run([uv, "build", "--wheel", *options, sdist], outside)
    (found,) = sdist.parent.glob("bsdgate-*.whl")
    return found


@pytest.fixture(scope="module")
def programs(uv: str, wheel: Path, outside: Path) -> Path:
    """Install the wheel into a new environment; return its directory of programs."""
    environment = outside / "environment"
    run([uv, "venv", "--python", sys.executable, environment], outside)
    options: list[str | Path] = ["--requirement", RELEASE, "--build-constraint", TOOLS]
    python = environment / "bin" / "python"
    run([uv, "pip", "install", "--python", python, *options, f"{wheel}[cloud]"], outside)
    copy_byte_code(python)
    return python.parent


def copy_byte_code(python: Path) -> None:
    """Copy the byte code of all other packages from the environment of the tests.

    To compile them takes a minute. Python compiles a file anyway if its size or time differs.
    """
    ours = Path(sysconfig.get_path("purelib"))
    theirs = Path(run([python, "-c", PURELIB], python.parent).strip())
    for cached in ours.rglob("__pycache__"):
        target = theirs / cached.relative_to(ours)
        if target.parent.is_dir():
            shutil.copytree(cached, target, dirs_exist_ok=True)


@pytest.mark.downloads
def test_sdist_has_the_files_and_no_links(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
    assert [member.name for member in members if member.issym() or member.islnk()] == []
    names = {member.name.partition("/src/")[2] for member in members if member.isfile()}
    assert files_of_the_checkout() - names == set()


@pytest.mark.downloads
def test_wheel_has_the_files_and_no_others(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names - {COMMIT_FILE} == files_of_the_checkout()


@pytest.mark.downloads
def test_a_wheel_from_the_sdist_contains_the_commit(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        output = archive.read(COMMIT_FILE).decode()
    head = run(["git", "rev-parse", "HEAD"], ROOT).strip()
    assert output.strip().removesuffix("-dirty") == head


def test_the_installed_command_prints_the_commit(programs: Path, outside: Path) -> None:
    output = run([programs / "bsdgate", "--version"], outside)
    assert f"+g{run(['git', 'rev-parse', 'HEAD'], ROOT)[:12]}" in output


@pytest.mark.downloads
@pytest.mark.timeout(300)
def test_wheel_installs(programs: Path) -> None:
    assert (programs / "bsdgate").is_file()


def test_every_module_can_be_imported(programs: Path, outside: Path) -> None:
    printed = run([programs / "python", "-c", IMPORT_ALL], outside).split()
    assert "bsdgate.harness.process" in printed
    assert "bsdgate.results.model" in printed


def test_entry_points_can_be_imported(programs: Path, outside: Path) -> None:
    printed = run([programs / "python", "-c", LOAD_ENTRY_POINTS], outside)
    assert "tempest.test_plugins bsdgate" in printed
    assert "sqlalchemy.plugins bsdgate" in printed


def test_tempest_lists_the_plugin(programs: Path, outside: Path) -> None:
    assert "bsdgate" in run([programs / "tempest", "list-plugins"], outside)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "asked",
    [
        ["--tests", r"^bsdgate|identity\.v3\.test_domains"],
        ["--suite", "rally-smoke", "--profile", "keystone", "--tests", "^Authenticate"],
    ],
    ids=["tempest", "rally"],
)
def test_a_run_from_the_wheel_passes(
    programs: Path, outside: Path, cache: Path, asked: list[str]
) -> None:
    """The services, plugins and data files of the wheel are enough for a verdict.

    The whole cloud starts from the templates of all tests, and Keystone builds its own.
    """
    folder = outside / "cache" if "keystone" in asked else cache
    places = {"BSDGATE_STATE_DIR": str(outside / "state"), "BSDGATE_CACHE_DIR": str(folder)}
    # Without stored byte code, each process of the run would compile again.
    changes = {"PYTHONDONTWRITEBYTECODE": "", **places}
    output = run([programs / "bsdgate", "run", *asked], outside, **changes)
    assert "\nPASS: " in output
