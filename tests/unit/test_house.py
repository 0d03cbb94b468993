# SPDX-License-Identifier: Apache-2.0
"""The rules of the house that no linter knows (doc/source/design/0001-house.rst)."""

import ast
import re
import socket
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
ROOMS = ("harness", "results", "tempest_plugin", "hostchecks", "rally_tasks")
LINKS = sorted(path for path in (ROOT / "src" / "bsdgate").iterdir() if path.is_symlink())
PRODUCT = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
PYTHON = [*PRODUCT, *sorted((ROOT / "tests").rglob("*.py"))]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
TOOLS = ROOT / "constraints" / "tools.txt"
RELEASES = sorted((ROOT / "harness" / "releases").glob("*.txt"))
LOCKS = [TOOLS, ROOT / "constraints" / "tox.txt", *RELEASES]

MODULE_LINES = 450
FUNCTION_LINES = 45


def named(path: Path) -> str:
    """Return how a test's title calls a file of the checkout."""
    return str(path.relative_to(ROOT))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Find every function and method below a node."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def lines_of_code(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count a function's lines, its docstring left out."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (function.end_lineno or 0) - body[0].lineno + 2 if body else 1


def pinned(lock: Path) -> dict[str, int]:
    """Return the packages that a file pins and how many hashes each has."""
    counts: dict[str, int] = {}
    for entry in re.split(r"\n(?=\S)", lock.read_text(encoding="utf-8")):
        counts[canonicalize_name(entry.partition("==")[0])] = entry.count("--hash=sha256:")
    return counts


@pytest.mark.parametrize("path", PYTHON, ids=named)
def test_module_is_small_and_licensed(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= MODULE_LINES
    assert not lines or lines[0] == "# SPDX-License-Identifier: Apache-2.0"


@pytest.mark.parametrize("path", PYTHON, ids=named)
def test_functions_are_short(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    sizes = {function.name: lines_of_code(function) for function in functions(tree)}
    assert {name: size for name, size in sizes.items() if size > FUNCTION_LINES} == {}


@pytest.mark.parametrize("path", PRODUCT, ids=named)
def test_names_say_what_is_inside(path: Path) -> None:
    assert path.name not in {"utils.py", "common.py", "manager.py", "helpers.py"}
    if path.is_relative_to(ROOT / "tempest_plugin" / "tests"):
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    classes = [node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    assert [name for name in classes if name.startswith("Test")] == []


@pytest.mark.parametrize("link", LINKS, ids=named)
def test_import_root_links_to_the_folder_of_the_same_name(link: Path) -> None:
    assert link.readlink() == Path("../..") / link.name
    assert link.is_dir()


def test_import_root_has_no_code_of_its_own() -> None:
    root = ROOT / "src" / "bsdgate"
    own = {path.name for path in root.iterdir() if path not in LINKS and path.name != "__pycache__"}
    assert own == {"__init__.py", "py.typed"}


@pytest.mark.parametrize("path", PRODUCT, ids=named)
def test_code_is_in_packages(path: Path) -> None:
    # Rally loads its plugins by path; everything else is imported by its full name.
    if path.is_relative_to(ROOT / "rally_tasks"):
        return
    assert (path.parent / "__init__.py").is_file()


@pytest.mark.parametrize("lock", LOCKS, ids=named)
def test_every_pin_has_a_hash_and_no_host(lock: Path) -> None:
    assert {name for name, hashes in pinned(lock).items() if not hashes} == set()
    assert "://" not in lock.read_text(encoding="utf-8")


@pytest.mark.parametrize("release", RELEASES, ids=named)
def test_dependencies_are_pinned(release: Path) -> None:
    project = PYPROJECT["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["cloud"]]
    names = {canonicalize_name(Requirement(each).name) for each in wanted}
    assert names - pinned(release).keys() == set()


def test_tools_are_pinned() -> None:
    groups = PYPROJECT["dependency-groups"].values()
    names = {canonicalize_name(Requirement(each).name) for group in groups for each in group}
    assert names - pinned(TOOLS).keys() == set()


def test_every_job_is_documented() -> None:
    documentation = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "doc" / "source").rglob("*.rst")
    )
    stanzas = [
        stanza
        for path in (ROOT / "zuul.d").glob("*.yaml")
        for stanza in yaml.safe_load(path.read_text(encoding="utf-8"))
    ]
    jobs = [stanza["job"]["name"] for stanza in stanzas if "job" in stanza]
    assert [name for name in jobs if name not in documentation] == []


def test_the_network_ends_at_loopback() -> None:
    # From RFC 5737: an address for documentation.
    with (
        pytest.warns(UserWarning, match="192.0.2.1"),
        pytest.raises(RuntimeError, match="192.0.2.1"),
    ):
        socket.create_connection(("192.0.2.1", 9), timeout=1)


def test_home_is_not_the_users(home: Path) -> None:
    assert Path.home() == home
    shell = subprocess.run(["sh", "-c", "echo $HOME"], check=True, capture_output=True, text=True)
    assert shell.stdout.strip() == str(home)
