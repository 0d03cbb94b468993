# SPDX-License-Identifier: Apache-2.0
"""A cache for the list of all tests.

Tempest needs seconds to list the tests, because it imports all of them. The list depends on the
installed files, which include editable installations and a change under test, and on options in
tempest.conf: some change the attributes of tests.
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
"""The maximum number of lists in the cache; the least recently used are removed."""

OF_ONE_RUN: Final = frozenset(
    {
        ("DEFAULT", "resource_name_prefix"),
        ("auth", "admin_password"),
        ("auth", "admin_project_id"),
        ("auth", "test_accounts_file"),
        ("compute", "flavor_ref"),
        ("compute", "flavor_ref_alt"),
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
"""Options with new values in each run: paths, a password, ids. No attribute depends on them."""


def cached(
    folder: Path, fingerprint: Callable[[], str | None], make: Callable[[], list[str]]
) -> list[str]:
    """Return the list for the fingerprint from the cache ``folder``; make and add it if needed.

    A list is not added if there is no fingerprint, or if the fingerprint changes meanwhile.
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
    """Return a digest of all that the list depends on.

    Return None if code cannot be read, or not be found because an import hook loads it.
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
    """Yield the files below a directory, without byte code."""
    if root.is_dir():
        found = ((path, entry) for path, (entry, _) in base.scan(str(root)))
        yield from (each for each in found if not each[0].endswith(".pyc"))
    else:
        about = root.lstat()
        yield str(root), (about.st_mode, about.st_size, about.st_mtime_ns, about.st_ino)


def _named_by_pth(packages: Path) -> Iterator[Path]:
    """Yield the directories in .pth files, by which editable installations work."""
    for file in packages.glob("*.pth"):
        for line in file.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
            folder = packages / line.strip()
            if line.strip() and not line.startswith(("import ", "import\t")) and folder.is_dir():
                yield folder.resolve()


def _settings(config: Path) -> list[Any]:
    """Return the options of tempest.conf on which attributes of tests may depend."""
    # As a usual section: configparser adds the options of a default section to all others.
    parser = configparser.RawConfigParser(strict=False, default_section="")
    parser.read(config, encoding="utf-8")
    # The order of values in a list varies.
    return [
        [section, option, sorted(value.split(","))]
        for section in sorted(parser.sections())
        for option, value in sorted(parser.items(section))
        if (section.replace("-", "_"), option) not in OF_ONE_RUN
    ]


def _read(path: Path) -> list[str] | None:
    """Return the list in a file; None if there is none, or it is damaged."""
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
    with files.explain_errors(path):
        folders.make(path.parent)
        content = json.dumps({"sha256": _digest(ids), "ids": ids}, indent=0)
        files.write_atomically(path, content.encode())
        by_age = sorted(path.parent.glob("*.json"), key=lambda each: each.stat().st_mtime_ns)
        for old in by_age[:-KEPT]:
            old.unlink(missing_ok=True)


def _digest(ids: Sequence[str]) -> str:
    return hashlib.sha256("".join(f"{each}\n" for each in ids).encode()).hexdigest()
