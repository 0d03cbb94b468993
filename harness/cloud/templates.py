# SPDX-License-Identifier: Apache-2.0
"""Ready databases and files, kept by the versions of what made them.

Two kinds: one per service with its empty database (``schema-…``), and one of a
whole seeded cloud (``cloud-…``). A changed service costs its own schema and the
seeding; everything else is copied.
"""

import hashlib
import importlib.metadata
import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bsdgate.harness import folders
from bsdgate.harness.cloud import service

LIBRARIES = ("SQLAlchemy", "alembic", "oslo.db")
"""What decides, beside a service, how its database looks."""

KEPT = 12
"""Templates kept per kind and service; the least recently used go first."""


class TemplateStore:
    """A folder of templates; safe to share between clouds that start at once."""

    def __init__(self, root: Path) -> None:
        """Keep templates under ``root``, which is made at the first need."""
        self._root = root

    def copy(self, name: str, target: Path, *, inside: Path) -> Path | None:
        """Copy a template to ``target`` and return the folder it was made in, or None.

        ``inside`` is the cloud's directory, in which ``target`` is.

        That folder stands in the data as a prefix of paths: see
        ``Service.personalise``.
        """
        template = self._root / name
        try:
            origin = Path((template / "origin").read_text())
            os.utime(template)
        except FileNotFoundError:
            return None
        copy_data(template / "data", target, inside=inside)
        return origin

    def keep(self, name: str, data: Path) -> None:
        """Keep a copy of ``data``, which lies where the services wrote it and is closed."""
        folders.make(self._root)
        draft = Path(tempfile.mkdtemp(dir=self._root, prefix="draft-"))
        folders.mark(draft)
        try:
            copy_data(data, draft / "data", inside=draft)
            (draft / "origin").write_text(str(data))
            # Whoever comes second finds the name taken by an equal template.
            if not (self._root / name).exists():
                draft.rename(self._root / name)
        finally:
            folders.remove_tree(draft, inside=self._root)
        self._prune(name)

    def _prune(self, name: str) -> None:
        kind = name.rpartition("-")[0]
        kept = sorted(self._root.glob(f"{kind}-*"), key=lambda each: each.stat().st_mtime)
        for template in filter(folders.is_marked, kept[:-KEPT]):
            folders.remove_tree(template, inside=self._root)


def schema_name(name: str) -> str:
    """Return the name of the template with the service's empty database."""
    module = service.load(name)
    sources = [f"{name}.py", "service.py", "spec.py", "worker.py"]
    return f"schema-{name}-{_digest([module.DISTRIBUTION, *LIBRARIES], sources)}"


def cloud_name(names: Iterable[str], nodes: Sequence[Mapping[str, Any]] = ()) -> str:
    """Return the name of the template with these services' seeded databases, and these nodes."""
    schemas = [schema_name(name) for name in names]
    return f"cloud-{_digest([], ['seed.py'], [*schemas, json.dumps(nodes, sort_keys=True)])}"


def _digest(distributions: Iterable[str], sources: Iterable[str], extra: Iterable[str] = ()) -> str:
    """Digest what is installed, file by file, our own source files, and more strings."""
    digest = hashlib.sha256()
    for name in distributions:
        distribution = importlib.metadata.distribution(name)
        # RECORD holds the digest of every file, so two builds of one version differ.
        record = distribution.read_text("RECORD") or distribution.version
        digest.update("\n".join(sorted(record.splitlines())).encode())
    for source in sources:
        digest.update((Path(__file__).parent / source).read_bytes())
    for line in extra:
        digest.update(line.encode())
    return digest.hexdigest()[:16]


def copy_data(source: Path, target: Path, *, inside: Path) -> None:
    """Replace ``target`` by a copy of ``source``; every database in it becomes one file.

    ``inside`` is the marked folder that ``target`` is in: a cloud's directory, or a template.
    """
    for database in source.rglob("*.sqlite"):
        _checkpoint(database)
    folders.remove_tree(target, inside=inside)
    folders.make(target.parent)
    shutil.copytree(source, target)


def _checkpoint(database: Path) -> None:
    """Fold the write-ahead log into the database, as the last clean close would."""
    if database.with_name(f"{database.name}-wal").exists():
        connection = sqlite3.connect(database)
        try:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            connection.close()
