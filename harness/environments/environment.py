# SPDX-License-Identifier: Apache-2.0
"""Python environments: the running one, or one with the change under test over it.

An environment for a change is a layer: a virtual environment that contains only the changed
projects; its ``sys.path`` continues in the running environment. To make a layer takes only the time
to build the projects. This needs no network if the build requirements are installed, and works if
the index has no packages for this system. A layer shares all byte code.
"""

import contextlib
import functools
import hashlib
import json
import os
import site
import stat
import sys
import sysconfig
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from bsdgate import harness
from bsdgate.harness import files, folders, paths, process
from bsdgate.harness.environments import base, builds
from bsdgate.harness.environments import changes as under_test
from bsdgate.harness.environments.changes import Change, Resolved
from bsdgate.harness.errors import ConfigurationError, UsageError
from bsdgate.harness.manifest import ChangedProject
from bsdgate.harness.profiles import releases

ReportStep = Callable[[str], None]

RUNNERS: Final = ("python-tempestconf", "tempest")
"""The distributions that the runners need, on the machine that runs the tests."""

_KEPT: Final = 5
_UNUSED_SECONDS: Final = 24 * 3600.0
# pbr would read git's history, which the copy does not have.
_PBR: Final = {"SKIP_GENERATE_AUTHORS": "1", "SKIP_WRITE_GIT_CHANGELOG": "1"}
# A "#!" line cannot contain a long path, or one with a space. So a shell carries out the first
# lines, and Python, which it starts, reads them as a string.
_SCRIPT: Final = """\
#!/bin/sh
'''exec' "{python}" "$0" "$@"
' '''
import sys
from {module} import {name}
sys.exit({attribute}())
"""


@dataclass(frozen=True)
class Environment:
    """An interpreter with the services, and the projects with other code than the release's."""

    python: Path
    changes: tuple[ChangedProject, ...] = ()
    before: base.Listing | None = field(default=None, compare=False, repr=False)
    """With changes: the base's files before their code ran."""
    factor: float = field(default=1.0, compare=False)
    """The factor for time limits."""

    @property
    def bin(self) -> Path:
        """The directory of the environment's commands: tempest, rally, bsdgate."""
        return self.python.parent

    def versions(self) -> dict[str, str]:
        """Return the version of each distribution in the environment, by name."""
        layer = _packages_of(self.python.parents[1]) if self.changes else []
        return dict(_versions((*layer, *map(Path, sys.path))))

    def check_base_unaltered(self, log: Path) -> None:
        """Check that the changes have not altered the base.

        :raises InfrastructureError: a file of the base was altered.
        """
        if self.before is not None:
            base.check_unaltered(self.before, log, self.factor)


def prepare(
    changes: Sequence[Change],
    release: str,
    cache_dir: Path,
    progress: ReportStep,
    factor: float = 1.0,
    *,
    needed: Iterable[str] = RUNNERS,
) -> Environment:
    """Return an environment with the release's distributions and ``changes`` over them.

    ``needed`` are the distributions that must be installed. ``cache_dir`` keeps the result;
    ``progress`` is called before each step that takes time; ``factor`` multiplies the time limits.

    :raises UsageError: a distribution of the release is not installed, or a change is unknown.
    :raises ConfigurationError: a change requires something that the release does not have.
    :raises InfrastructureError: the build failed; the error ends with the last lines of its log.
    """
    paths.check_installation()
    check_installed(needed, release)
    if not changes:
        return Environment(Path(sys.executable))
    home = cache_dir / "environments"
    before = base.take()
    with files.explain_errors(home):
        folders.make(home)
        resolved = resolve(changes, cache_dir)
        folder = home / _key(resolved, release)
        with _locked(folder, progress):
            if not _is_complete(folder):
                builds.report_missing_sandbox(progress)
                _build(folder, resolved, release, progress, before, factor=factor)
            (folder / "complete").touch()
        prune(home)
        versions = json.loads((folder / "complete").read_bytes())
    named = tuple(each.named(versions[each.change.distribution]) for each in resolved)
    return Environment(_layer_of(folder) / "bin" / "python", named, before, factor)


def resolve(changes: Sequence[Change], cache_dir: Path) -> list[Resolved]:
    """Return the changes with the identities of their code; the log of a failure is kept.

    :raises UsageError: a change does not exist, or cannot be read.
    """
    home = cache_dir / "environments"
    with files.explain_errors(home):
        folders.make(home)
    for old in home.glob("resolve-*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - old.stat().st_mtime > _UNUSED_SECONDS:
                old.unlink()
    log = home / f"resolve-{os.getpid()}.log"
    keep_log = False
    try:
        return [under_test.resolve(change, log) for change in changes]
    except process.ProcessError:
        keep_log = True  # the error refers to it
        raise
    finally:
        log.with_suffix(".out").unlink(missing_ok=True)
        if not keep_log:
            log.unlink(missing_ok=True)


def check_installed(names: Iterable[str], release: str) -> None:
    """Check that the running environment has distributions in the versions of the release.

    :raises UsageError: a distribution is not installed, or has another version.
    """
    pins = releases.pins(release)
    wrong = []
    for name in names:
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{name} is not installed")
            continue
        pinned = pins[canonicalize_name(name)]
        if Version(version) != pinned:
            wrong.append(f"{name} is {version}, not {pinned}")
    if wrong:
        raise UsageError(
            f"{sys.executable} lacks distributions of OpenStack {release}: {'; '.join(wrong)}",
            f"run through tox, or install bsdgate[cloud] with -c {releases.constraints(release)}",
        )


def prune(base: Path) -> None:
    """Remove environments that were not used for a day, except the few that were used last."""
    complete = sorted(base.glob("*/complete"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in complete[_KEPT:]:
        folder = path.parent
        if time.time() - path.stat().st_mtime < _UNUSED_SECONDS:
            continue
        lock = files.take_lock(folder.with_suffix(".lock"))
        if lock is not None:
            if folders.is_marked(folder):
                folders.remove_tree(folder, inside=base)
            os.close(lock)


def conflicts(
    installed: Mapping[NormalizedName, metadata.Distribution], changed: Container[NormalizedName]
) -> list[str]:
    """Return the unmet requirements of changed distributions, and of others for them."""
    found = []
    for name, dist in installed.items():
        for need in map(Requirement, dist.requires or ()):
            needed = canonicalize_name(need.name)
            if name not in changed and needed not in changed:
                continue
            if need.marker is not None and not need.marker.evaluate({"extra": ""}):
                continue
            has = installed[needed].version if needed in installed else "nothing"
            if has == "nothing" or not need.specifier.contains(has, prereleases=True):
                label = f"{dist.metadata['Name']} {dist.version}"
                found.append(f"{label} needs {need.name}{need.specifier}, but {has} is installed")
    return found


def _key(resolved: Sequence[Resolved], release: str) -> str:
    parts = {
        "constraints": releases.constraints(release).read_text(encoding="utf-8"),
        "bsdgate": harness.version(),
        "base": [sys.prefix, sys.version],
        "changes": sorted([each.change.distribution, each.identity] for each in resolved),
    }
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:20]


@contextlib.contextmanager
def _locked(folder: Path, progress: ReportStep) -> Iterator[None]:
    path = folder.with_suffix(".lock")
    lock = files.take_lock(path)
    if lock is None:
        progress("waiting for another bsdgate that builds the same environment")
        lock = files.take_lock(path, wait=True)
    assert lock is not None
    try:
        yield
    finally:
        os.close(lock)


def _is_complete(folder: Path) -> bool:
    return (folder / "complete").is_file() and (_layer_of(folder) / "bin" / "python").exists()


def _build(
    folder: Path,
    resolved: Sequence[Resolved],
    release: str,
    progress: ReportStep,
    before: base.Listing,
    *,
    factor: float,
) -> None:
    """Make the environment at its final path, which many of its files contain."""
    folders.remove_tree(folder, inside=folder.parent)
    log = folder.with_suffix(".log")
    log.unlink(missing_ok=True)
    with contextlib.ExitStack() as undo:
        folders.make_marked(folder)
        undo.callback(folders.remove_tree, folder, inside=folder.parent)
        layer_root = _layer_of(folder)
        _make_layer(layer_root, folder, log, factor)
        pins = releases.pins(release)
        try:
            for each in resolved:
                progress(f"building {each.change}")
                _install(each, folder, pins[each.change.distribution], log, progress, factor=factor)
        finally:
            base.check_unaltered(before, log, factor)
        for packages in _packages_of(layer_root):
            _check_readable(packages)
        layer = _distributions(_packages_of(layer_root))
        installed = _distributions([*_packages_of(layer_root), *map(Path, sys.path)])
        problems = conflicts(installed, layer)
        if problems:
            raise ConfigurationError(
                f"the change is not compatible with OpenStack {release}:",
                "add the code that it needs by another --with, such as --with oslo.db=PATH",
                problems,
            )
        _write_scripts(layer_root, installed.values())
        versions = json.dumps({name: dist.version for name, dist in layer.items()})
        files.write_atomically(folder / "complete", versions.encode())
        undo.pop_all()


def _check_readable(packages: Path) -> None:
    """Check that a build has installed only regular files and links: to open a FIFO would block."""
    for path, ((mode, *_), _) in base.scan(str(packages)):
        described = Path(path).parent.suffix in {".dist-info", ".egg-info"}
        if stat.S_ISREG(mode) or (stat.S_ISLNK(mode) and not described):
            continue
        raise ConfigurationError(
            f"the build of the change left {path}, which is not a regular file",
            "correct the build: it may install regular files, and links outside of *.dist-info",
        )


def _layer_of(folder: Path) -> Path:
    """Return the environment in ``folder``, to which the code of the change may write."""
    return folder / "environment"


def _make_layer(environment: Path, folder: Path, log: Path, factor: float) -> None:
    """Make a virtual environment that falls back to the packages of the running one."""
    options = ("--no-project", "--allow-existing")
    with builds.begun(folder / "work", environment, log, factor) as build:
        build.uv("venv", "--python", sys.executable, *options, environment)
    # Unlike a plain path, addsitedir also processes the .pth files of the running environment.
    lines = "".join(f"import site; site.addsitedir({path!r})\n" for path in _running_packages())
    (_packages_of(environment)[0] / "bsdgate-layer.pth").write_text(lines, encoding="utf-8")


def _install(
    resolved: Resolved,
    folder: Path,
    pinned: Version,
    log: Path,
    progress: ReportStep,
    *,
    factor: float,
) -> None:
    """Build and install one changed project: with installed packages, else with the index."""
    change, environment = resolved.change, _layer_of(folder)
    variables: dict[str, str | None] = dict(_PBR)
    with builds.begun(folder / "work", environment, log, factor) as build:
        if change.kind == "version":
            what: str | Path = f"{change.distribution}=={change.source}"
        else:
            variables["PBR_VERSION"] = under_test.unpack(resolved, build.source, pinned, log)
            what = build.source
        python = environment / "bin" / "python"
        arguments = ("pip", "install", "--no-deps", "--compile-bytecode", "--python", python, what)
        try:
            build.uv(*arguments, "--offline", "--no-build-isolation", **variables)
        except process.ProcessError as offline:
            progress(f"building {change} again, with packages of the index")
            try:
                build.uv(*arguments, **variables)
            except process.ProcessError as online:
                # Either may show the cause: the second build uses no installed packages.
                online.message = f"{offline.message}\n{online.message}"
                raise


def _packages_of(folder: Path) -> list[Path]:
    """Return the package directories of the virtual environment in ``folder``."""
    variables = {"base": str(folder), "platbase": str(folder)}
    paths = (sysconfig.get_path(key, "venv", variables) for key in ("platlib", "purelib"))
    return [Path(path) for path in dict.fromkeys(paths)]


def _running_packages() -> list[str]:
    """Return the package directories of the running environment, in the order of its path."""
    own = {os.path.normcase(path) for path in site.getsitepackages()}
    return [path for path in sys.path if os.path.normcase(path) in own]


@functools.cache
def _versions(folders: tuple[Path, ...]) -> Mapping[str, str]:
    """Return the version of each distribution in ``folders``, by name.

    The result is kept: the metadata of all distributions takes half a second to read.
    """
    first: dict[NormalizedName, tuple[str, str]] = {}
    for dist in metadata.distributions(path=list(map(str, folders))):
        about = dist.metadata  # each access parses the file again
        first.setdefault(canonicalize_name(about["Name"]), (about["Name"], about["Version"]))
    return dict(value for _, value in sorted(first.items()))


def _distributions(folders: Sequence[Path]) -> dict[NormalizedName, metadata.Distribution]:
    """Return the distributions in ``folders``: the first one of each name."""
    first: dict[NormalizedName, metadata.Distribution] = {}
    for dist in metadata.distributions(path=list(map(str, folders))):
        first.setdefault(canonicalize_name(dist.metadata["Name"]), dist)
    return first


def _write_scripts(environment: Path, distributions: Iterable[metadata.Distribution]) -> None:
    """Write the commands of ``distributions``, run by the environment's own interpreter."""
    python = environment / "bin" / "python"
    folder = os.open(environment / "bin", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        for dist in distributions:
            for entry in dist.entry_points:
                if entry.group == "console_scripts" and os.sep not in entry.name:
                    name = entry.attr.partition(".")[0]
                    text = _SCRIPT.format(
                        python=python, module=entry.module, name=name, attribute=entry.attr
                    )
                    _write_script(folder, entry.name, text)
    finally:
        os.close(folder)


def _write_script(folder: int, name: str, text: str) -> None:
    # The build may have left a link with this name: it is not followed.
    with contextlib.suppress(FileExistsError):
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o755, dir_fd=folder)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)
