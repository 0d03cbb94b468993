# SPDX-License-Identifier: Apache-2.0
"""Check the rules of structure that no linter checks (doc/source/design/0001-structure.rst).

    python tests/lint/structure.py

Each finding is a line ``FILE:LINE: message``; with findings the exit status is 1.
"""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PRODUCT = ("harness", "results", "tempest_plugin", "hostchecks", "rally_tasks")
TEMPEST_TESTS = Path("tempest_plugin", "tests")
RECORDED_PROJECTS = Path("tests", "golden", "projects")
TOOLS = Path("constraints", "tools.txt")
TOX = Path("constraints", "tox.txt")
ZUUL = Path("constraints", "zuul.txt")

MODULE_LINES = 450
FUNCTION_LINES = 45
BANNED_NAMES = {"utils.py", "common.py", "manager.py", "helpers.py"}


@dataclass(frozen=True)
class Finding:
    """A place that breaks a rule; the path is relative to the checkout."""

    path: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


def main() -> int:
    """Print the findings in this checkout; return the exit status."""
    findings = list(check(Path(__file__).parents[2]))
    sys.stdout.writelines(f"{finding}\n" for finding in findings)
    return 1 if findings else 0


def check(root: Path) -> Iterator[Finding]:
    """Check all rules in the checkout in a directory."""
    yield from check_code(root)
    yield from check_import_root(root)
    yield from check_pins(root)
    yield from check_dependencies(root)
    yield from check_jobs(root)


def check_code(root: Path) -> Iterator[Finding]:
    """Check all modules except those of recorded projects."""
    for folder in (*PRODUCT, "tests"):
        for file in sorted((root / folder).rglob("*.py")):
            path = file.relative_to(root)
            if not path.is_relative_to(RECORDED_PROJECTS):
                yield from check_module(path, file.read_text(encoding="utf-8"))


def check_module(path: Path, text: str) -> Iterator[Finding]:
    """Check the sizes in a module, its name and the names of its classes."""
    lines = text.count("\n")
    if lines > MODULE_LINES:
        yield Finding(path, lines, f"the module has {lines} lines; {MODULE_LINES} are the limit")
    product = path.parts[0] in PRODUCT
    if product and path.name in BANNED_NAMES:
        yield Finding(path, 1, "name the module by what it does")
    for node in statements(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from check_function(path, node)
        elif product and isinstance(node, ast.ClassDef):
            yield from check_class(path, node)


def check_function(
    path: Path, function: ast.FunctionDef | ast.AsyncFunctionDef
) -> Iterator[Finding]:
    """Check the length of a function, without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    lines = (function.end_lineno or 0) - body[0].lineno + 2 if body else 1
    if lines > FUNCTION_LINES:
        message = f"{function.name} has {lines} lines; {FUNCTION_LINES} are the limit"
        yield Finding(path, function.lineno, message)


def check_class(path: Path, node: ast.ClassDef) -> Iterator[Finding]:
    """Check that only Tempest's tests have the names of tests."""
    if node.name.startswith("Test") and not path.is_relative_to(TEMPEST_TESTS):
        yield Finding(path, node.lineno, f"{node.name} is no test; do not name it like one")


def check_import_root(root: Path) -> Iterator[Finding]:
    """Check that the import root has only links to directories of the same name."""
    path = Path("src", "bsdgate")
    for entry in sorted((root / path).iterdir()):
        if entry.is_symlink():
            if entry.readlink() != Path("..", "..", entry.name) or not entry.is_dir():
                message = f"the link does not lead to the folder ../../{entry.name}"
                yield Finding(path / entry.name, 1, message)
        elif entry.name not in {"__init__.py", "py.typed", "__pycache__"}:
            yield Finding(path / entry.name, 1, "code belongs in a folder that is linked here")


def check_pins(root: Path) -> Iterator[Finding]:
    """Check that every pin has a hash, and that no file of pins names a host."""
    for path in (TOOLS, TOX, ZUUL, *releases(root)):
        text = (root / path).read_text(encoding="utf-8")
        for line, package, hashes in pins(text):
            if not hashes:
                yield Finding(path, line, f"{package} has no hash")
        for number, line_text in enumerate(text.splitlines(), 1):
            if "://" in line_text:
                yield Finding(path, number, "a file of pins names no host")


def check_dependencies(root: Path) -> Iterator[Finding]:
    """Check that the requirements in pyproject.toml are pinned."""
    pyproject = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    project = pyproject["project"]
    extras = project["optional-dependencies"]
    # The extra cloud contains the extra services, by a requirement of bsdgate itself.
    cloud = [each for each in extras["cloud"] if Requirement(each).name != project["name"]]
    needed = [*project["dependencies"], *extras["services"], *cloud]
    for path in releases(root):
        yield from check_pinned(root, path, needed)
    groups = pyproject["dependency-groups"]
    yield from check_pinned(root, ZUUL, groups.pop("zuul"))
    yield from check_pinned(root, TOOLS, [each for group in groups.values() for each in group])


def check_pinned(root: Path, path: Path, requirements: list[str]) -> Iterator[Finding]:
    """Check that a file pins all of these requirements."""
    pinned = {package for _, package, _ in pins((root / path).read_text(encoding="utf-8"))}
    names = {canonicalize_name(Requirement(each).name) for each in requirements}
    for name in sorted(names - pinned):
        yield Finding(path, 1, f"{name} is in pyproject.toml and has no pin")


def check_jobs(root: Path) -> Iterator[Finding]:
    """Check that the documentation names each Zuul job."""
    pages = (root / "doc" / "source").rglob("*.rst")
    documentation = "".join(page.read_text(encoding="utf-8") for page in pages)
    for file in sorted((root / "zuul.d").glob("*.yaml")):
        for line, name in jobs(file.read_text(encoding="utf-8")):
            if name not in documentation:
                message = f"the job {name} is not in the documentation"
                yield Finding(file.relative_to(root), line, message)


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield all statements below a node; expressions have none and are not searched."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
            yield child
            yield from statements(child)


def releases(root: Path) -> list[Path]:
    """Return the files that pin a release of OpenStack."""
    folder = root / "harness" / "releases"
    return sorted(path.relative_to(root) for path in folder.glob("*.txt"))


def pins(text: str) -> Iterator[tuple[int, str, int]]:
    """Yield the pins of a file: the line, the package, the number of its hashes."""
    line = 1
    for entry in re.split(r"\n(?=\S)", text):
        yield line, canonicalize_name(entry.partition("==")[0]), entry.count("--hash=sha256:")
        line += entry.count("\n") + 1


def jobs(text: str) -> Iterator[tuple[int, str]]:
    """Yield the jobs that a Zuul file defines: the line, the name."""
    document = yaml.compose(text, Loader=yaml.SafeLoader)
    for stanza in document.value if document else []:
        for kind, definition in stanza.value:
            for key, value in definition.value if kind.value == "job" else []:
                if key.value == "name":
                    yield key.start_mark.line + 1, value.value


if __name__ == "__main__":
    sys.exit(main())
