# SPDX-License-Identifier: Apache-2.0
"""Python environments: the running one, or one with the change under test over it.

An environment for a change is a layer: a virtual environment that holds the changed projects alone
and whose path goes on into the running environment. It is made in the time that the projects take
to build, needs no network when what builds them is at hand, works over packages that no index has
ready for this system, and shares all byte code.
"""

import contextlib
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
from bsdgate.harness import files, folders, places, process
from bsdgate.harness.environments import base, builds
from bsdgate.harness.environments import changes as under_test
from bsdgate.harness.environments.changes import Change, Resolved
from bsdgate.harness.errors import ConfigurationError, UsageError
from bsdgate.harness.manifest import ChangedProject
from bsdgate.harness.profiles import releases

Progress = Callable[[str], None]

SERVICES: Final = (
    "glance",
    "ironic",
    "keystone",
    "neutron",
    "nova",
    "openstack-placement",
    "python-tempestconf",
    "tempest",
)
"""What a run cannot do without, by distribution."""

_KEPT: Final = 5
_UNUSED_SECONDS: Final = 24 * 3600.0
# pbr would ask a history that the copy does not have.
_PBR: Final = {"SKIP_GENERATE_AUTHORS": "1", "SKIP_WRITE_GIT_CHANGELOG": "1"}
# A "#!" line can hold no path with a space, and none that is long. So a shell reads the first
# lines, which are a string to the Python that it starts.
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
    """An interpreter with the services, and which of its projects are not the release's."""

    python: Path
    changes: tuple[ChangedProject, ...] = ()
    before: base.Listing | None = field(default=None, compare=False, repr=False)
    """With changes: the base's files before code of theirs ran."""

    @property
    def bin(self) -> Path:
        """The folder of the environment's commands: tempest, rally, bsdgate."""
        return self.python.parent

    def versions(self) -> dict[str, str]:
        """Return the version of each distribution in the environment, by name."""
        layer = _layer(self.python.parents[1]) if self.changes else []
        found = _distributions([*layer, *map(Path, sys.path)])
        return {dist.metadata["Name"]: dist.version for _, dist in sorted(found.items())}

    def see_base_unaltered(self, log: Path) -> None:
        """See that the changes have altered nothing that runs without them.

        :raises InfrastructureError: they have.
        """
        if self.before is not None:
            base.see_unaltered(self.before, log)


def prepare(
    changes: Sequence[Change], release: str, cache_dir: Path, progress: Progress
) -> Environment:
    """Return an environment with the release's services and ``changes`` over them.

    ``cache_dir`` keeps what was built; ``progress`` is told of each step that takes time.

    :raises UsageError: the services of the release are not installed here, or a change is unknown.
    :raises ConfigurationError: a change needs what the release does not have.
    :raises InfrastructureError: it cannot be built; the error ends with the builder's last lines.
    """
    places.check_installation()
    check_services(release)
    if not changes:
        return Environment(Path(sys.executable))
    home = cache_dir / "environments"
    before = base.take()
    with files.explained(home):
        folders.make(home)
        resolved = resolve(changes, cache_dir)
        folder = home / _key(resolved, release)
        with _locked(folder, progress):
            if not _is_complete(folder):
                builds.say_what_is_missing(progress)
                _build(folder, resolved, release, progress, before)
            (folder / "complete").touch()
        prune(home)
        versions = json.loads((folder / "complete").read_bytes())
    named = tuple(each.named(versions[each.change.distribution]) for each in resolved)
    return Environment(_layer_of(folder) / "bin" / "python", named, before)


def resolve(changes: Sequence[Change], cache_dir: Path) -> list[Resolved]:
    """Find out what the changes are now; a failure's log is in the folder of the environments.

    :raises UsageError: a change is not there, or cannot be read.
    """
    home = cache_dir / "environments"
    with files.explained(home):
        folders.make(home)
    for old in home.glob("resolve-*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - old.stat().st_mtime > _UNUSED_SECONDS:
                old.unlink()
    log = home / f"resolve-{os.getpid()}.log"
    named = False
    try:
        return [under_test.resolve(change, log) for change in changes]
    except process.ProcessError:
        named = True  # by the error, to its reader
        raise
    finally:
        log.with_suffix(".out").unlink(missing_ok=True)
        if not named:
            log.unlink(missing_ok=True)


def check_services(release: str) -> None:
    """See that the running environment has the services in the versions of the release.

    :raises UsageError: it has not.
    """
    pins = releases.pins(release)
    wrong = []
    for name in SERVICES:
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
            f"{sys.executable} lacks what OpenStack {release} is made of: {'; '.join(wrong)}",
            f"run through tox, or install bsdgate[cloud] with -c {releases.constraints(release)}",
        )


def prune(base: Path) -> None:
    """Remove the environments that were not used for a day, but for the few used last."""
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
    """Return the needs that are not met, of changed distributions and for them."""
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
                found.append(f"{label} needs {need.name}{need.specifier}, and {has} is there")
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
def _locked(folder: Path, progress: Progress) -> Iterator[None]:
    path = folder.with_suffix(".lock")
    lock = files.take_lock(path)
    if lock is None:
        progress("waiting for another bsdgate, which builds the same")
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
    progress: Progress,
    before: base.Listing,
) -> None:
    """Make the environment in its place, since its path is written all over it."""
    folders.remove_tree(folder, inside=folder.parent)
    log = folder.with_suffix(".log")
    log.unlink(missing_ok=True)
    with contextlib.ExitStack() as undo:
        folders.make_marked(folder)
        undo.callback(folders.remove_tree, folder, inside=folder.parent)
        layer_root = _layer_of(folder)
        _lay_over(layer_root, folder, log)
        pins = releases.pins(release)
        try:
            for each in resolved:
                progress(f"building {each.change}")
                _install(each, folder, pins[each.change.distribution], log, progress)
        finally:
            base.see_unaltered(before, log)
        for packages in _layer(layer_root):
            _see_readable(packages)
        layer = _distributions(_layer(layer_root))
        installed = _distributions([*_layer(layer_root), *map(Path, sys.path)])
        problems = conflicts(installed, layer)
        if problems:
            raise ConfigurationError(
                f"the change does not fit OpenStack {release}:",
                "bring what it needs by another --with, such as --with oslo.db=PATH",
                problems,
            )
        _write_scripts(layer_root, installed.values())
        versions = json.dumps({name: dist.version for name, dist in layer.items()})
        files.write_atomically(folder / "complete", versions.encode())
        undo.pop_all()


def _see_readable(packages: Path) -> None:
    """See that what a build has left can be read: to open a FIFO would wait without a limit."""
    for path, ((mode, *_), _) in base.scan(str(packages)):
        described = Path(path).parent.suffix in {".dist-info", ".egg-info"}
        if stat.S_ISREG(mode) or (stat.S_ISLNK(mode) and not described):
            continue
        raise ConfigurationError(
            f"the build of the change left {path}, which is no regular file",
            "mend the build: it may install regular files, and links outside of *.dist-info",
        )


def _layer_of(folder: Path) -> Path:
    """Return the environment in ``folder``, in which the code of the change may write."""
    return folder / "environment"


def _lay_over(environment: Path, folder: Path, log: Path) -> None:
    """Make a virtual environment that falls back to the packages of the running one."""
    options = ("--no-project", "--allow-existing")
    with builds.begun(folder / "work", environment, log) as build:
        build.uv("venv", "--python", sys.executable, *options, environment)
    # addsitedir, unlike a bare path, also does what the .pth files of the lower environment say.
    lines = "".join(f"import site; site.addsitedir({path!r})\n" for path in _running())
    (_layer(environment)[0] / "bsdgate-layer.pth").write_text(lines, encoding="utf-8")


def _install(
    resolved: Resolved, folder: Path, pinned: Version, log: Path, progress: Progress
) -> None:
    """Build and install one changed project: with what is at hand, else from the index."""
    change, environment = resolved.change, _layer_of(folder)
    variables: dict[str, str | None] = dict(_PBR)
    with builds.begun(folder / "work", environment, log) as build:
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
            progress(f"building {change} again, with what the index has")
            try:
                build.uv(*arguments, **variables)
            except process.ProcessError as online:
                # Either may be what is wrong: the second has no part of what is at hand.
                online.message = f"{offline.message}\n{online.message}"
                raise


def _layer(folder: Path) -> list[Path]:
    """Return the folders of packages of the virtual environment in ``folder``."""
    variables = {"base": str(folder), "platbase": str(folder)}
    paths = (sysconfig.get_path(key, "venv", variables) for key in ("platlib", "purelib"))
    return [Path(path) for path in dict.fromkeys(paths)]


def _running() -> list[str]:
    """Return the folders of packages of the running environment, in the order of its path."""
    own = {os.path.normcase(path) for path in site.getsitepackages()}
    return [path for path in sys.path if os.path.normcase(path) in own]


def _distributions(folders: Sequence[Path]) -> dict[NormalizedName, metadata.Distribution]:
    """Return the distributions that are found in ``folders``: of each name the first."""
    first: dict[NormalizedName, metadata.Distribution] = {}
    for dist in metadata.distributions(path=list(map(str, folders))):
        first.setdefault(canonicalize_name(dist.metadata["Name"]), dist)
    return first


def _write_scripts(environment: Path, distributions: Iterable[metadata.Distribution]) -> None:
    """Give the environment the commands of the one below, run by its own interpreter."""
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
    # What was built may have left a link there that leads elsewhere: it is not followed.
    with contextlib.suppress(FileExistsError):
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o755, dir_fd=folder)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)
