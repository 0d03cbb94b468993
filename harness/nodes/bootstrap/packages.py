# SPDX-License-Identifier: Apache-2.0
"""Packages that a node has from its system, and their versions, as data.

Packages with compiled code cannot be copied from a machine with another system. The ranges replace
the pins of the release, because the system's packages have other versions. See
doc/source/design/0009-bootstrap.rst for the lower limits.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

PYTHONS: Final = SpecifierSet(">=3.11")
DEFAULT_PYTHON: Final = "311"
"""The version of Python in the prefix of FreeBSD's packages of Python modules."""
SQLITE: Final = "sqlite3"
"""The module of the standard library that FreeBSD has in a package of its own."""


@dataclass(frozen=True)
class SystemPackage:
    """A Python distribution that the system provides.

    ``port`` is the name of the port without the prefix, ``module`` the module that is imported to
    check the package. ``services`` are the services that need it; by default all. With ``purpose``
    the package is optional: it is needed only for this purpose. ``follows`` is a package that must
    be from the same source, because the two accept only one version of each other.
    """

    name: str
    port: str
    module: str
    versions: str = ""
    services: frozenset[str] = frozenset()
    purpose: str = ""
    follows: str = ""

    @property
    def distribution(self) -> NormalizedName:
        """The normalized name."""
        return canonicalize_name(self.name)

    def package(self, python: str) -> str:
        """Return the name of FreeBSD's package; ``python`` is a version such as 311."""
        return f"py{python}-{self.port}"

    def accepts(self, version: str) -> bool:
        """Return whether a version is in the range."""
        try:
            return SpecifierSet(self.versions).contains(Version(version), prereleases=True)
        except InvalidVersion:
            return False


@dataclass(frozen=True)
class Tool:
    """A program that is only needed for ``purpose``; ``package`` is its package on FreeBSD."""

    name: str
    package: str
    purpose: str


_NOVA: Final = frozenset({"nova"})

SYSTEM: Final = (
    SystemPackage(SQLITE, "sqlite3", "sqlite3"),
    SystemPackage("cryptography", "cryptography", "cryptography.x509", ">=44,<51"),
    SystemPackage("cffi", "cffi", "cffi", ">=1.17,<3"),
    SystemPackage("bcrypt", "bcrypt", "bcrypt", ">=4.3,<6"),
    SystemPackage("rpds-py", "rpds-py", "rpds", ">=0.27,<2027"),
    SystemPackage("psutil", "psutil", "psutil", ">=7.1,<8"),
    SystemPackage("greenlet", "greenlet", "greenlet", ">=3.2,<4"),
    SystemPackage("setproctitle", "setproctitle", "setproctitle", ">=1.3.4,<2"),
    SystemPackage(
        "pydantic", "pydantic2", "pydantic", ">=2.9,<3", follows=canonicalize_name("pydantic-core")
    ),
    SystemPackage("pydantic-core", "pydantic-core", "pydantic_core", ">=2.23,<3"),
    SystemPackage("PyNaCl", "pynacl", "nacl.bindings", ">=1.5,<2", _NOVA),
    SystemPackage(
        "lxml", "lxml", "lxml.etree", ">=5.4,<7", _NOVA, "making Nova's databases on the node"
    ),
)
"""The packages that the system provides if they cannot be copied."""

TOOLS: Final = (
    Tool("uv", "uv", "building a change (--with)"),
    Tool("git", "git", "building a change (--with)"),
)

FALLBACKS: Final = frozenset(
    {
        "charset-normalizer",
        "markupsafe",
        "msgpack",
        "pyyaml",
        "sqlalchemy",
        "wcwidth",
        "wrapt",
    }
)
"""Distributions that work without their compiled modules."""

UNUSED: Final = frozenset({"aiohttp", "numpy", "ujson", "uv", "yappi", "zeroconf"})
"""Distributions that are required, but never imported by a service that serves."""


def needed(services: Collection[str]) -> tuple[SystemPackage, ...]:
    """Return the packages for these services."""
    return tuple(each for each in SYSTEM if not each.services or each.services & set(services))
