# SPDX-License-Identifier: Apache-2.0
"""Templates: ready databases and files, named by the installed software that made them.

There are two kinds: one per service with its empty database (``schema-…``), and
one of a whole seeded cloud (``cloud-…``). After a change of a service, only its
own schema is made again, and the cloud is seeded again; the rest is copied.
"""

import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bsdgate.harness import folders, paths
from bsdgate.harness.cloud import service

LIBRARIES = ("SQLAlchemy", "alembic", "oslo.db")
"""Distributions that affect the database of every service."""

_ADDED: Final = re.compile(
    r"^\.\./|\.pyc$|\.dist-info/(INSTALLER|REQUESTED|RECORD|direct_url\.json|uv_[a-z]+\.json)$"
)
"""Files that an installer adds: commands, byte code, and its notes."""

KEPT = 12
"""The maximum number of templates per kind and service; the least recently used is removed."""


class TemplateStore:
    """A directory of templates, which clouds that start at the same time can share."""

    def __init__(self, root: Path) -> None:
        """Keep templates under ``root``, which is made when the first template is kept."""
        self.root: Final = root

    def has(self, name: str) -> bool:
        """Return whether there is a template with a name."""
        return (self.root / name / "origin").exists()

    def copy(self, name: str, target: Path, *, inside: Path) -> Path | None:
        """Copy a template to ``target``; return the directory in which the template was made.

        Return None if there is no such template. ``inside`` is the cloud's directory,
        in which ``target`` is. Paths in the data begin with the returned directory:
        ``ServiceModule.relocate`` replaces it.
        """
        template = self.root / name
        try:
            origin = Path((template / "origin").read_text())
            os.utime(template)
        except FileNotFoundError:
            return None
        copy_data(template / "data", target, inside=inside)
        return origin

    def keep(self, name: str, data: Path) -> None:
        """Keep a copy of ``data``, to which no service writes any more."""
        self._keep(name, data, str(data))

    def add(self, template: Path) -> None:
        """Keep a copy of a template of another store; ``template`` is its directory."""
        self._keep(template.name, template / "data", (template / "origin").read_text())

    def _keep(self, name: str, data: Path, origin: str) -> None:
        folders.make(self.root)
        draft = Path(tempfile.mkdtemp(dir=self.root, prefix="draft-"))
        folders.mark(draft)
        try:
            copy_data(data, draft / "data", inside=draft)
            (draft / "origin").write_text(origin)
            # Another cloud may have kept an equal template meanwhile.
            if not (self.root / name).exists():
                draft.rename(self.root / name)
        finally:
            folders.remove_tree(draft, inside=self.root)
        self._prune(name)

    def _prune(self, name: str) -> None:
        kind = name.rpartition("-")[0]
        kept = sorted(self.root.glob(f"{kind}-*"), key=lambda each: each.stat().st_mtime)
        for template in filter(folders.is_marked, kept[:-KEPT]):
            folders.remove_tree(template, inside=self.root)


def default() -> TemplateStore:
    """Return the store in the cache directory."""
    return TemplateStore(paths.cache() / "templates")


def schema_name(name: str) -> str:
    """Return the name of the template with the service's empty database."""
    module = service.load(name)
    sources = [f"{name}.py", "service.py", "spec.py", "worker.py"]
    return f"schema-{name}-{_digest([module.DISTRIBUTION, *LIBRARIES], sources)}"


def cloud_name(names: Iterable[str], nodes: Sequence[Mapping[str, Any]] = ()) -> str:
    """Return the name of the template with the seeded databases of these services.

    ``nodes`` are the nodes in Ironic's database.
    """
    schemas = [schema_name(name) for name in names]
    sources = ["seed.py", "accounts.py"]
    return f"cloud-{_digest([], sources, [*schemas, json.dumps(nodes, sort_keys=True)])}"


def _digest(distributions: Iterable[str], sources: Iterable[str], extra: Iterable[str] = ()) -> str:
    """Return a digest of installed distributions, of our source files, and of more strings."""
    digest = hashlib.sha256()
    for name in distributions:
        distribution = importlib.metadata.distribution(name)
        digest.update("\n".join(_files(distribution)).encode())
    for source in sources:
        digest.update((Path(__file__).parent / source).read_bytes())
    for line in extra:
        digest.update(line.encode())
    return digest.hexdigest()[:16]


def _files(distribution: importlib.metadata.Distribution) -> list[str]:
    """Return the files of a wheel with their digests: two builds of one version differ.

    Installers add other files to RECORD, so two machines with the same wheel would differ too.
    """
    record = distribution.read_text("RECORD")
    if record is None:
        return [distribution.version]
    found = (line for line in record.splitlines() if not _ADDED.search(line.partition(",")[0]))
    return sorted(found)


def copy_data(source: Path, target: Path, *, inside: Path) -> None:
    """Replace ``target`` by a copy of ``source``; each database in the copy is one file.

    ``inside`` is the marked directory that ``target`` is in: of a cloud, or of a template.
    """
    for database in source.rglob("*.sqlite"):
        _checkpoint(database)
    folders.remove_tree(target, inside=inside)
    folders.make(target.parent)
    shutil.copytree(source, target)


def _checkpoint(database: Path) -> None:
    """Move the write-ahead log into the database, as SQLite does when the last user closes it."""
    if database.with_name(f"{database.name}-wal").exists():
        connection = sqlite3.connect(database)
        try:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            connection.close()
