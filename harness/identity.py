# SPDX-License-Identifier: Apache-2.0
"""What a run is made with, in a form that can be compared: bsdgate itself, a profile, a suite.

Two states of a checkout may have one version and one commit, so bsdgate is compared by the digest
of its files. That needs no git, and works for a checkout and for an installed package alike. The
commit is for people, who have to find that bsdgate again.
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
"""Written into the package by setup.py, where it is built from a checkout."""

# What tools make, and what is not shipped.
_LEFT_OUT: Final = (".pyc", ".rst", "~")
_GIT_TIMEOUT: Final = 10.0
_VALUE_SHOWN: Final = 80


@cache
def version() -> str:
    """Return bsdgate's version with its commit, such as ``0.1.0.dev0+g0123456789ab``.

    It ends with ``.dirty`` where tracked files differ from the commit, and is the plain version
    where the commit is not known.
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
    """Return the SHA-256 of all files of bsdgate, by their names, without what Python compiles."""
    return digest_of(PACKAGE)


def digest_of(package: Path) -> str:
    """Return the SHA-256 of all files of a package, those behind links to its parts among them."""
    whole = hashlib.sha256()
    for path in sorted(_files(package)):
        content = hashlib.sha256(path.read_bytes()).digest()
        whole.update(b"%s\0%s\0" % (os.fsencode(path.relative_to(package)), content))
    return whole.hexdigest()


def _files(package: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(package, followlinks=True):
        folders[:] = [name for name in folders if name != "__pycache__" and name[0] != "."]
        for name in names:
            if name[0] != "." and name != COMMIT_FILE and not name.endswith(_LEFT_OUT):
                yield Path(folder, name)


def describe(package: Path) -> str:
    """Return the commit of a package as git tells it, with ``-dirty``; empty if it is not known.

    Only the checkout that the package itself belongs to is asked: an environment may lie in the
    checkout of something else.
    """
    root = package.parents[1]
    if package.parent.name == "src" and (root / ".git").exists():
        with contextlib.suppress(InfrastructureError), tempfile.TemporaryDirectory() as folder:
            return _ask_git(root, Path(folder))
    built = package / COMMIT_FILE
    return built.read_text(encoding="ascii").strip() if built.is_file() else ""


def _ask_git(root: Path, folder: Path) -> str:
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
    """A profile or a suite as it was loaded, and the SHA-256 of that as sorted JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    content: dict[str, Any]
    """What was loaded, with all default values."""
    sha256: str
    """The SHA-256 of the content as sorted JSON."""

    @classmethod
    def of(cls, loaded: BaseModel) -> Self:
        """Keep what was loaded, with all the values that it has by default."""
        content = json.loads(loaded.model_dump_json())
        return cls(content=content, sha256=_digest(content))

    @model_validator(mode="after")
    def _digest_fits(self) -> Self:
        if self.sha256 != _digest(self.content):
            raise ValueError("sha256 is not that of the content")
        return self

    def differences(self, now: "Settings") -> list[str]:
        """Say of each key that has another value ``now`` what it is and what it was."""
        return list(_differences(self.content, now.content, ""))


def _digest(content: object) -> str:
    return hashlib.sha256(_text(content).encode()).hexdigest()


def _text(value: object) -> str:
    # JSON tells 1, 1.0 and true apart, which are equal in Python and not in a service's options.
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
