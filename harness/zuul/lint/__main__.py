# SPDX-License-Identifier: Apache-2.0
"""Checks the Zuul files of a checkout with Zuul's own parser, and what Zuul does not check.

    PYTHONPATH=src .tox/zuul/bin/python -m bsdgate.harness.zuul.lint [CHECKOUT]...

Each problem is a line ``FILE:LINE: message``; with problems the exit status is 1. This program
runs in Zuul's own environment, which has no package that bsdgate needs, except PyYAML. It connects
to no server.
"""

import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from bsdgate.harness.zuul.layout import CONNECTION, TENANT, parse, zuul_files

PROJECT_KEYS: Final = frozenset(
    {
        "name",
        "description",
        "templates",
        "vars",
        "queue",
        "merge-mode",
        "default-branch",
        "branches",
    }
)
"""The keys of projects and templates that are not pipelines."""
KINDS: Final = frozenset(
    {
        *("flavor", "image", "job", "label", "nodeset", "pipeline", "pragma", "project"),
        *("project-template", "provider", "queue", "secret", "section", "semaphore"),
    }
)
"""The kinds of stanzas. Zuul reports another kind without its line."""
_PLAYBOOKS: Final = ("pre-run", "run", "post-run", "cleanup-run")


@dataclass(frozen=True, order=True)
class Problem:
    """A problem in a file; the path is relative to the checkout."""

    path: str
    line: int
    message: str


@dataclass(frozen=True)
class Stanza:
    """A stanza of a Zuul file: the YAML nodes of its keys and of its values by their keys."""

    path: str
    kind: str
    keys: dict[str, yaml.Node]
    fields: dict[str, yaml.Node]

    @property
    def name(self) -> str:
        """The name of the stanza; empty if it has none."""
        return str(self.fields["name"].value) if "name" in self.fields else ""


def main() -> int:
    """Print the problems of checkouts; return the exit status."""
    logging.disable()
    status = 0
    for root in map(Path, sys.argv[1:] or ["."]):
        for problem in check(root):
            sys.stdout.write(f"{root / problem.path}:{problem.line}: {problem.message}\n")
            status = 1
    return status


def check(root: Path) -> list[Problem]:
    """Return all problems in ``zuul.d``, the example tenant and the playbooks."""
    found = set(check_syntax(root))
    if not found:
        found = {*_zuul_problems(root), *_own_problems(root)}
    return sorted(found)


def check_syntax(root: Path) -> Iterator[Problem]:
    """Yield the files that are not YAML, or not lists of stanzas."""
    files = [path for _, path in zuul_files(root)]
    files += [root / TENANT / "main.yaml", *_playbook_files(root)]
    for path in files:
        relative = str(path.relative_to(root))
        try:
            node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            yield Problem(relative, line, f"not YAML: {error.problem}")
            continue
        if not isinstance(node, yaml.SequenceNode):
            yield Problem(relative, 1, "the file is not a list")
            continue
        kinds = KINDS if path.parent.name == "zuul.d" else None
        for item in node.value:
            line = item.start_mark.line + 1
            if not isinstance(item, yaml.MappingNode):
                yield Problem(relative, line, "not a mapping")
            elif kinds and (wrong := ", ".join({key.value for key, _ in item.value} - kinds)):
                yield Problem(relative, line, f"unknown stanza {wrong}")


def _playbook_files(root: Path) -> list[Path]:
    tasks = sorted((root / "roles").glob("*/tasks/*.yaml"))
    return [*sorted((root / "playbooks").rglob("*.yaml")), *tasks]


def _zuul_problems(root: Path) -> Iterator[Problem]:
    """Yield the errors of Zuul's parser, for this checkout and the example tenant together."""
    for error in parse(root).errors:
        yield _problem_of(error)


def _problem_of(error: Any) -> Problem:
    context, mark = error.key.context, error.key.mark
    text = " ".join(str(error.short_error).split())
    return Problem(context.path if context else str(TENANT), mark.line + 1 if mark else 1, text)


def _own_problems(root: Path) -> Iterator[Problem]:
    stanzas = [each for _, path in zuul_files(root) for each in read_stanzas(root, path)]
    names = {
        kind: {each.name for each in stanzas if each.kind == kind}
        for kind in ("pipeline", "semaphore", "label")
    }
    page = "".join(
        path.read_text(encoding="utf-8") for path in (root / "doc" / "source").rglob("*.rst")
    )
    for each in stanzas:
        if each.kind in {"project", "project-template"}:
            yield from _pipelines(each, names["pipeline"])
        if each.kind == "nodeset":
            yield from _labels(each, names["label"])
        if each.kind == "job":
            yield from _job(each, names["semaphore"], root)
            if f"``{each.name}``" not in page:
                yield _at(each, each.fields["name"], f"the job {each.name} is not documented")
    yield from _roles(root)


def _compose(path: Path) -> yaml.Node:
    """Return the YAML nodes of a file that ``check_syntax`` accepts."""
    node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    assert node is not None
    return node


def read_stanzas(root: Path, path: Path) -> Iterator[Stanza]:
    """Yield the stanzas of a file."""
    node = _compose(path)
    for item in node.value:
        for kind, content in item.value:
            if isinstance(content, yaml.MappingNode):
                keys = {key.value: key for key, _ in content.value}
                fields = {key.value: value for key, value in content.value}
                yield Stanza(str(path.relative_to(root)), kind.value, keys, fields)


def _at(stanza: Stanza, node: yaml.Node, message: str) -> Problem:
    return Problem(stanza.path, node.start_mark.line + 1, message)


def _items(node: yaml.Node | None) -> list[yaml.Node]:
    """Return the items of a sequence; a single value is a sequence of one."""
    if node is None:
        return []
    return list(node.value) if isinstance(node, yaml.SequenceNode) else [node]


def _value(node: yaml.Node, key: str) -> yaml.Node | None:
    if not isinstance(node, yaml.MappingNode):
        return node if key == "name" else None
    return next((value for name, value in node.value if name.value == key), None)


def _pipelines(stanza: Stanza, known: set[str]) -> Iterator[Problem]:
    for key, node in stanza.keys.items():
        if key not in known | PROJECT_KEYS:
            yield _at(stanza, node, f"unknown pipeline {key}: Zuul would ignore its jobs")


def _labels(stanza: Stanza, known: set[str]) -> Iterator[Problem]:
    for node in _items(stanza.fields.get("nodes")):
        label = _value(node, "label")
        if label is not None and label.value not in known:
            message = f"unknown label {label.value}: a build that requests it never starts"
            yield _at(stanza, label, message)


def _job(stanza: Stanza, semaphores: set[str], root: Path) -> Iterator[Problem]:
    for phase in _PLAYBOOKS:
        for node in _items(stanza.fields.get(phase)):
            path = _value(node, "name")
            if path is not None and not (root / str(path.value)).is_file():
                yield _at(stanza, path, f"missing playbook {path.value}")
    for key in ("semaphore", "semaphores"):
        for node in _items(stanza.fields.get(key)):
            name = _value(node, "name")
            if name is not None and name.value not in semaphores:
                yield _at(stanza, name, f"unknown semaphore {name.value}")
    for node in _items(stanza.fields.get("roles")):
        project = _value(node, "zuul")
        if project is not None and project.value not in _projects(root):
            yield _at(stanza, project, f"unknown project {project.value} in roles")


def _projects(root: Path) -> set[str]:
    data = yaml.safe_load((root / TENANT / "main.yaml").read_text(encoding="utf-8"))[0]["tenant"]
    listed = data["source"][CONNECTION]
    groups = [group["projects"] for group in listed["untrusted-projects"]]
    return {*listed["config-projects"], *(name for group in groups for name in group)}


def _roles(root: Path) -> Iterator[Problem]:
    """Yield the roles that a playbook uses and that are not in ``roles/``."""
    for path in sorted((root / "playbooks").rglob("*.yaml")):
        node = _compose(path)
        for play in node.value:
            for role in _items(_value(play, "roles")):
                name = _value(role, "name") or _value(role, "role")
                if name is not None and not (root / "roles" / str(name.value)).is_dir():
                    line = name.start_mark.line + 1
                    yield Problem(str(path.relative_to(root)), line, f"unknown role {name.value}")


if __name__ == "__main__":
    sys.exit(main())
