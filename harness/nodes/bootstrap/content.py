# SPDX-License-Identifier: Apache-2.0
"""The files of this machine's Python packages that a node needs.

They are the files of bsdgate and of the services, with all distributions that these require: not of
the tests. The files must have the hashes in the RECORD of their distribution, which the installer
has checked against the hashes of the release. Compiled modules are only copied to a node for which
the wheel was built.
"""

import base64
import gzip
import hashlib
import importlib.util
import io
import sys
import sysconfig
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import IO, Final

from packaging import tags
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from bsdgate.harness import identity
from bsdgate.harness.errors import UsageError
from bsdgate.harness.nodes.bootstrap.packages import FALLBACKS, SYSTEM, UNUSED
from bsdgate.harness.nodes.bootstrap.probe import Python, Report
from bsdgate.harness.profiles import releases

ROOT: Final = "bsdgate[services]"
"""The requirement of which the node has the closure."""

_OWN: Final = canonicalize_name("bsdgate")
_MAGIC: Final = importlib.util.MAGIC_NUMBER
_LEFT_OUT: Final = frozenset({"tests", "__pycache__"})
"""Directories that no service imports."""
_NOTES: Final = frozenset(
    {"INSTALLER", "REQUESTED", "direct_url.json", "uv_build.json", "uv_cache.json"}
)


@dataclass(frozen=True)
class Part:
    """A distribution to copy; without ``compiled``, its compiled modules are left out."""

    name: NormalizedName
    distribution: metadata.Distribution
    compiled: bool


@dataclass(frozen=True)
class Content:
    """The distributions for a node, sorted by name, and the directory of their modules."""

    parts: tuple[Part, ...]
    python: Python

    @property
    def names(self) -> frozenset[NormalizedName]:
        """The names of the distributions."""
        return frozenset(each.name for each in self.parts)

    @property
    def site(self) -> PurePosixPath:
        """The directory of the modules, in the environment on the node."""
        variables = {"base": "", "platbase": "", "py_version_short": self._short}
        return PurePosixPath(sysconfig.get_path("purelib", "venv", variables).lstrip("/"))

    @property
    def name(self) -> str:
        """A name for the environment: equal names mean equal files for the same Python."""
        whole = hashlib.sha256(f"{self.python.version} {self.python.path}\n".encode())
        for part in self.parts:
            # The prefix has the digest of bsdgate's own files.
            record = "" if part.name == _OWN else part.distribution.read_text("RECORD")
            whole.update(f"{part.name} {part.compiled}\n{record}\n".encode())
        return f"{own_prefix()}{whole.hexdigest()[:16]}"

    @property
    def _short(self) -> str:
        return ".".join(self.python.version.split(".")[:2])

    def pack(self, target: IO[bytes]) -> tuple[int, int]:
        """Write a compressed archive of the files; return their number and their size in bytes.

        :raises UsageError: a file on this machine was altered since it was installed.
        """
        count = size = 0
        with (
            gzip.GzipFile(fileobj=target, mode="wb", compresslevel=1, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as archive,
        ):
            for name, content, mtime in self._files():
                member = tarfile.TarInfo(str(name))
                member.size, member.mtime, member.mode = len(content), mtime, 0o644
                archive.addfile(member, io.BytesIO(content))
                count, size = count + 1, size + len(content)
        return count, size

    def _files(self) -> Iterator[tuple[PurePosixPath, bytes, int]]:
        """Yield name, content and modification time of each file, with its byte code if possible.

        Byte code contains the modification time of its source.
        """
        for part in self.parts:
            own = _own_code() if part.name == _OWN else ()
            for name, path, digest in (*_recorded(part), *own):
                content = path.read_bytes()
                if digest is not None and _digest(content) != digest:
                    raise UsageError(
                        f"{path} was altered since {part.name} was installed",
                        "make the Python environment of this machine again (`tox -r`)",
                    )
                mtime = int(path.stat().st_mtime)
                yield self._place(name), content, mtime
                code = self._byte_code(path, len(content), mtime)
                if code is not None:
                    cached, compiled = code
                    yield self._place(name.parent / "__pycache__" / cached), compiled, mtime

    def _place(self, name: PurePosixPath) -> PurePosixPath:
        """Return the path in the environment of a path relative to the modules."""
        found: list[str] = []
        for word in (*self.site.parts, *name.parts):
            if word == "..":
                found.pop()
            else:
                found.append(word)
        return PurePosixPath(*found)

    def _byte_code(self, source: Path, size: int, mtime: int) -> tuple[str, bytes] | None:
        """Return the name and the content of valid byte code for the node; None without any."""
        if source.suffix != ".py" or self.python.magic != _MAGIC.hex():
            return None
        cached = source.parent / "__pycache__" / f"{source.stem}.{sys.implementation.cache_tag}.pyc"
        try:
            content = cached.read_bytes()
        except OSError:
            return None
        # The magic number, no flags, and the time and the size of the source.
        head = b"".join((_MAGIC, *(each.to_bytes(4, "little") for each in (0, mtime, size))))
        return (cached.name, content) if content.startswith(head) else None


def own_prefix() -> str:
    """Return the beginning of the names of environments with this bsdgate."""
    return f"{identity.digest()[:16]}-"


def select(report: Report, python: Python, release: str) -> Content:
    """Return the distributions to copy to a node.

    :raises UsageError: this machine lacks a distribution, or has another version than the release,
        or a distribution does not support the Python of the node.
    """
    found = closure([ROOT], _markers(report, python))
    _check_release(found, release)
    supported = frozenset(_tags(python))
    foreign = {name for name, each in found.items() if _is_foreign(each, supported)}
    from_system = {
        each.distribution for each in SYSTEM if {each.distribution, each.follows} & foreign
    }
    unknown = foreign - from_system - FALLBACKS
    if unknown:
        raise UsageError(
            f"the compiled modules of {', '.join(sorted(unknown))} are for another system than"
            f" {report} with Python {python.version}",
            "use a node with the system and the Python of this machine",
        )
    parts = [
        Part(name, found[name], name not in foreign) for name in sorted(found.keys() - from_system)
    ]
    for part in parts:
        _check_python(part.distribution, python)
    return Content(tuple(parts), python)


def closure(
    names: Iterable[str], environment: Mapping[str, str] | None = None
) -> dict[NormalizedName, metadata.Distribution]:
    """Return the distributions with these requirements and all that they require, by name.

    ``environment`` has values for markers, by default those of this Python.

    :raises UsageError: a distribution is not installed on this machine.
    """
    found: dict[NormalizedName, metadata.Distribution] = {}
    needed = [Requirement(each) for each in names]
    seen: set[tuple[NormalizedName, str]] = set()
    while needed:
        requirement = needed.pop()
        name = canonicalize_name(requirement.name)
        for extra in {"", *requirement.extras}:
            if name in UNUSED or (name, extra) in seen:
                continue
            seen.add((name, extra))
            found[name] = _installed(name)
            needed += _required(found[name], extra, environment or {})
    return found


@cache
def _installed(name: NormalizedName) -> metadata.Distribution:
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        raise UsageError(
            f"this machine lacks the Python distribution {name}, which the node needs",
            "use the Python environment of tox, or a node with the version of this Python"
            f" ({sys.version_info.major}.{sys.version_info.minor})",
        ) from None


def _required(
    distribution: metadata.Distribution, extra: str, environment: Mapping[str, str]
) -> Iterator[Requirement]:
    for text in distribution.requires or ():
        requirement = Requirement(text)
        values = {**environment, "extra": extra}
        if requirement.marker is None or requirement.marker.evaluate(values):
            yield requirement


def _check_release(found: Mapping[NormalizedName, metadata.Distribution], release: str) -> None:
    pins = releases.pins(release)
    wrong = [
        f"{name} is {each.version}, not {pins[name]}"
        for name, each in sorted(found.items())
        if name in pins and Version(each.version) != pins[name]
    ]
    if wrong:
        raise UsageError(
            f"{sys.executable} lacks distributions of OpenStack {release}: {'; '.join(wrong)}",
            f"run through tox, or install bsdgate[cloud] with -c {releases.constraints(release)}",
        )


def _check_python(distribution: metadata.Distribution, python: Python) -> None:
    for wanted in distribution.metadata.get_all("Requires-Python") or ():
        if not SpecifierSet(wanted).contains(python.version, prereleases=True):
            name = distribution.metadata["Name"]
            raise UsageError(
                f"{name} {distribution.version} needs Python {wanted}, but the node has"
                f" {python.version} ({python.path})",
                "use the same version of Python on both machines",
            )


def _markers(report: Report, python: Python) -> dict[str, str]:
    """Return the values of markers on the node."""
    major = report.release.partition(".")[0]
    here = {name: str(value) for name, value in default_environment().items()}
    return here | {
        "platform_machine": report.architecture,
        "platform_release": report.release,
        "platform_system": report.system,
        "platform_version": "",
        "python_full_version": python.version,
        "python_version": ".".join(python.version.split(".")[:2]),
        "implementation_version": python.version,
        "sys_platform": "linux" if report.system == "Linux" else f"{report.system.lower()}{major}",
    }


def _tags(python: Python) -> Iterator[tags.Tag]:
    """Yield the tags of compiled wheels that the node can use; none without glibc.

    A wheel for another system than Linux is not for all machines of that system.
    """
    name, _, version = python.libc.partition("-")
    if name != "glibc" or not python.platform.startswith("linux-"):
        return
    architecture = python.platform.removeprefix("linux-").replace("-", "_")
    major, minor = (int(word) for word in version.split(".")[:2])
    platforms = [f"manylinux_{major}_{each}_{architecture}" for each in range(minor, 4, -1)]
    old = {"manylinux2014": 17, "manylinux2010": 12, "manylinux1": 5}
    platforms += [f"{each}_{architecture}" for each, least in old.items() if minor >= least]
    short = python.version.split(".")[:2]
    yield from tags.cpython_tags((int(short[0]), int(short[1])), platforms=platforms)


def _is_library(name: str) -> bool:
    return name.endswith(".so") or ".so." in name


@cache
def _has_library(name: NormalizedName) -> bool:
    return any(_is_library(file.name) for file in _installed(name).files or ())


def _is_foreign(distribution: metadata.Distribution, supported: frozenset[tags.Tag]) -> bool:
    """Return whether a distribution has compiled modules that the node cannot use."""
    if not _has_library(canonicalize_name(distribution.metadata["Name"])):
        return False
    lines = (distribution.read_text("WHEEL") or "").splitlines()
    found = [line.removeprefix("Tag: ") for line in lines if line.startswith("Tag: ")]
    return not any(tag in supported for each in found for tag in tags.parse_tag(each))


def _recorded(part: Part) -> Iterator[tuple[PurePosixPath, Path, str | None]]:
    """Yield the name, the path and the digest of each recorded file that the node needs."""
    for file in part.distribution.files or ():
        name = PurePosixPath(*file.parts)
        if _is_wanted(name, part):
            path = Path(str(part.distribution.locate_file(file)))
            yield name, path, file.hash.value if file.hash else None


def _is_wanted(name: PurePosixPath, part: Part) -> bool:
    # bsdgate itself may be an editable installation, of which only the description is copied.
    described = name.parts[0].endswith(".dist-info")
    if name.name in _NOTES or name.suffix == ".pth" or (part.name == _OWN and not described):
        return False
    if name.parts[0] == "..":
        return any(each in {"etc", "share"} for each in name.parts)
    if not part.compiled and _is_library(name.name):
        return False
    return not _LEFT_OUT & set(name.parts)


def _own_code() -> Iterator[tuple[PurePosixPath, Path, None]]:
    """Yield the files of bsdgate's own code; no RECORD has the hashes of a checkout."""
    for name in identity.files(identity.PACKAGE):
        yield PurePosixPath("bsdgate", *name.relative_to(identity.PACKAGE).parts), name, None


def _digest(content: bytes) -> str:
    found = hashlib.sha256(content).digest()
    return base64.urlsafe_b64encode(found).rstrip(b"=").decode()
