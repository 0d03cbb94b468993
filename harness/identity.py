# SPDX-License-Identifier: Apache-2.0
"""The inputs of a run in a form that can be compared: bsdgate itself, a profile, a suite.

Two states of a checkout may have the same version and commit, so bsdgate is compared by the digest
of its files. That needs no git, and works for a checkout and for an installed package. The commit
is for people who need to find the same bsdgate again.
"""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, model_validator

import bsdgate
from bsdgate import harness
from bsdgate.harness import process
from bsdgate.harness.errors import InfrastructureError

PACKAGE: Final = Path(bsdgate.__file__).parent
COMMIT_FILE: Final = "commit.txt"
"""The file that setup.py writes to the package when it builds it from a checkout."""

# Files that tools make, and files that are not shipped.
_LEFT_OUT: Final = (".pyc", ".rst", "~")
# Not multiplied by the factor for slow nodes: no run needs the commit.
_GIT_TIMEOUT: Final = 10.0
_VALUE_SHOWN: Final = 80


@cache
def version() -> str:
    """Return bsdgate's version with its commit, such as ``0.1.0.dev0+g0123456789ab``.

    It ends with ``.dirty`` if tracked files differ from the commit, and is the plain version if the
    commit is not known.
    """
    commit = describe(PACKAGE)
    if not commit:
        return harness.version()
    number, _, dirty = commit.partition("-")
    local = f"g{number[:12]}.{dirty}" if dirty else f"g{number[:12]}"
    plain = harness.version()
    return f"{plain}.{local}" if "+" in plain else f"{plain}+{local}"


@cache
def digest() -> str:
    """Return the SHA-256 of the names and contents of bsdgate's files, without byte code."""
    return digest_of(PACKAGE)


def digest_of(package: Path) -> str:
    """Return the SHA-256 of all files of a package, also of those behind links to its parts."""
    whole = hashlib.sha256()
    for path in sorted(files(package)):
        content = hashlib.sha256(path.read_bytes()).digest()
        whole.update(b"%s\0%s\0" % (os.fsencode(path.relative_to(package)), content))
    return whole.hexdigest()


def files(package: Path) -> Iterator[Path]:
    """Yield the files of a package, without byte code and files that are not shipped."""
    for folder, folders, names in os.walk(package, followlinks=True):
        folders[:] = [name for name in folders if name != "__pycache__" and name[0] != "."]
        for name in names:
            if name[0] != "." and name != COMMIT_FILE and not name.endswith(_LEFT_OUT):
                yield Path(folder, name)


def describe(package: Path) -> str:
    """Return the commit of a package, with ``-dirty`` if changed; empty if it is not known.

    git reads only the checkout that the package belongs to: the environment of an installed
    package may be inside the checkout of another project.
    """
    root = package.parents[1]
    if package.parent.name == "src" and (root / ".git").exists():
        with contextlib.suppress(InfrastructureError), tempfile.TemporaryDirectory() as folder:
            return _run_git_describe(root, Path(folder))
    built = package / COMMIT_FILE
    return built.read_text(encoding="ascii").strip() if built.is_file() else ""


def _run_git_describe(root: Path, folder: Path) -> str:
    process.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
        log=folder / "git.log",
        timeout=_GIT_TIMEOUT,
        cwd=root,
        env=process.environment(GIT_OPTIONAL_LOCKS="0"),
        stdout=folder / "git.out",
    )
    return (folder / "git.out").read_text(encoding="ascii").strip()


class Settings(BaseModel):
    """A profile or a suite as it was loaded, and the SHA-256 of its sorted JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    content: dict[str, Any]
    """The loaded profile or suite, with all default values."""
    sha256: str
    """The SHA-256 of the content as sorted JSON."""

    @classmethod
    def of(cls, loaded: BaseModel) -> Self:
        """Return the settings of a loaded profile or suite, with all default values."""
        content = json.loads(loaded.model_dump_json())
        return cls(content=content, sha256=_digest(content))

    @model_validator(mode="after")
    def _digest_fits(self) -> Self:
        if self.sha256 != _digest(self.content):
            raise ValueError("sha256 is not the SHA-256 of the content")
        return self

    def differences(self, now: "Settings") -> list[str]:
        """Return a line with the new and the old value of each key that differs."""
        return list(_differences(self.content, now.content, ""))


def _digest(content: object) -> str:
    return hashlib.sha256(_text(content).encode()).hexdigest()


def _text(value: object) -> str:
    # JSON distinguishes 1, 1.0 and true, which are equal in Python but not in a service's options.
    return json.dumps(value, sort_keys=True)


def _differences(before: Any, now: Any, place: str) -> Iterator[str]:
    if isinstance(before, list) and isinstance(now, list):
        before, now = dict(enumerate(before)), dict(enumerate(now))
    if isinstance(before, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*before, *now]):
            inner = f"{place}.{key}" if place else str(key)
            yield from _differences(before.get(key), now.get(key), inner)
    elif _text(before) != _text(now):
        yield f"{place} is {_shown(now)}, and was {_shown(before)}"


def _shown(value: object) -> str:
    text = _text(value)
    return text if len(text) <= _VALUE_SHOWN else f"{text[:_VALUE_SHOWN]}…"
