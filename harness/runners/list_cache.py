# SPDX-License-Identifier: Apache-2.0
"""The list of all tests, kept while nothing that it depends on has changed.

Tempest imports every test to list them, which takes seconds. The list depends on the files that
are installed, those of an editable installation and of a change under test among them, and on
settings in tempest.conf by which tests are marked.
"""

import configparser
import hashlib
import json
import os
import site
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from bsdgate.harness import files, folders
from bsdgate.harness.environments import base

KEPT: Final = 8
"""The lists that are kept; the least recently used go first."""

OF_ONE_RUN: Final = frozenset(
    {
        ("auth", "admin_password"),
        ("auth", "test_accounts_file"),
        ("compute", "image_ref"),
        ("compute", "image_ref_alt"),
        ("identity", "uri"),
        ("identity", "uri_v3"),
        ("image", "http_image"),
        ("image", "image_path"),
        ("oslo_concurrency", "lock_path"),
        ("scenario", "img_file"),
    }
)
"""Options that each run sets anew: paths, a password, ids. No test is marked by them."""


def cached(
    folder: Path, fingerprint: Callable[[], str | None], make: Callable[[], list[str]]
) -> list[str]:
    """Return the list that is kept in ``folder`` for the fingerprint; make and keep it if needed.

    A list is not kept if it has no fingerprint, or if its fingerprint changes meanwhile.
    """
    key = fingerprint()
    if key is None:
        return make()
    path = folder / f"{key}.json"
    if (found := _read(path)) is not None:
        return found
    made = make()
    if fingerprint() == key:
        _keep(path, made)
    return made


def fingerprint(python: Path, config: Path) -> str | None:
    """Return what the list of an environment depends on, as a digest.

    None if some of the code cannot be read, or not be found, since a finder of its own installs it.
    """
    try:
        return _fingerprint(python, config)
    except (OSError, configparser.Error):
        return None


def _fingerprint(python: Path, config: Path) -> str | None:
    packages = [*map(Path, site.getsitepackages())]
    roots = {*base.roots()}
    if python != Path(sys.executable):
        roots.add(python.parents[1])
        packages += python.parents[1].glob("lib*/python*/site-packages")
    if any(each for folder in packages for each in folder.glob("__editable__*finder.py")):
        return None
    for folder in packages:
        roots |= {*_named_by_pth(folder)}
    whole = hashlib.sha256(json.dumps([str(python), _settings(config)]).encode())
    for entry in sorted(entry for root in roots for entry in _code(root)):
        whole.update(repr(entry).encode())
    return whole.hexdigest()


def _code(root: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Find the files below a folder, without those that Python compiles."""
    if root.is_dir():
        found = ((path, entry) for path, (entry, _) in base.scan(str(root)))
        yield from (each for each in found if not each[0].endswith(".pyc"))
    else:
        about = root.lstat()
        yield str(root), (about.st_mode, about.st_size, about.st_mtime_ns, about.st_ino)


def _named_by_pth(packages: Path) -> Iterator[Path]:
    """Find the folders that are installed by being named, as an editable installation does."""
    for file in packages.glob("*.pth"):
        for line in file.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
            folder = packages / line.strip()
            if line.strip() and not line.startswith(("import ", "import\t")) and folder.is_dir():
                yield folder.resolve()


def _settings(config: Path) -> list[Any]:
    """Return the options of tempest.conf that tests may be marked by."""
    parser = configparser.RawConfigParser(strict=False)
    parser.read(config, encoding="utf-8")
    # Lists are written in any order.
    return [
        [section, option, sorted(value.split(","))]
        for section in sorted(parser.sections())
        for option, value in sorted(parser.items(section))
        if (section.replace("-", "_"), option) not in OF_ONE_RUN
    ]


def _read(path: Path) -> list[str] | None:
    """Return the list in a file; None if there is none, or it is not as it was written."""
    try:
        kept = json.loads(path.read_bytes())
        os.utime(path)
        if kept["sha256"] != _digest(kept["ids"]) or not kept["ids"]:
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    found: list[str] = kept["ids"]
    return found


def _keep(path: Path, ids: Sequence[str]) -> None:
    with files.explained(path):
        folders.make(path.parent)
        content = json.dumps({"sha256": _digest(ids), "ids": ids}, indent=0)
        files.write_atomically(path, content.encode())
        by_age = sorted(path.parent.glob("*.json"), key=lambda each: each.stat().st_mtime_ns)
        for old in by_age[:-KEPT]:
            old.unlink(missing_ok=True)


def _digest(ids: Sequence[str]) -> str:
    return hashlib.sha256("".join(f"{each}\n" for each in ids).encode()).hexdigest()
