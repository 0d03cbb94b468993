# SPDX-License-Identifier: Apache-2.0
"""The Python packages of a node, copied from the running environment to a root file system.

They are bsdgate, some services, and all that these require: the packages of an installation of
bsdgate with the extra ``services``. Some packages are compiled, so the guest must have the version
of this Python.
"""

import compileall
import hashlib
import shutil
import sys
from collections.abc import Iterable, Iterator
from importlib import metadata, resources
from pathlib import Path

from bsdgate.harness import identity
from bsdgate.harness.nodes.bootstrap import content

COMMAND = """\
#!/usr/bin/python3
import sys
from bsdgate.harness.__main__ import main
sys.exit(main())
"""
SERVERS = ("cheroot", "eventlet", "oslo.service[threading]")
"""The distributions of the extra ``services`` that are not services."""
VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"


def install(services: Iterable[str], root: Path) -> None:
    """Copy bsdgate and services with their requirements to a root file system, and compile them."""
    packages = Path("usr/local/lib") / VERSION / "dist-packages"
    for distribution in distributions(services):
        for name in files_of(distribution):
            source, target = Path(str(distribution.locate_file(name))), root / packages / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    code = Path(str(resources.files("bsdgate")))
    # In a checkout, bsdgate contains links to directories; copytree follows them.
    shutil.copytree(code, root / packages / "bsdgate", ignore=shutil.ignore_patterns("__pycache__"))
    command = root / "usr" / "local" / "bin" / "bsdgate"
    command.parent.mkdir(parents=True, exist_ok=True)
    command.write_text(COMMAND)
    command.chmod(0o755)
    # Emulation would take minutes to compile all this. Packages of Debian contain no byte code.
    for folder in (packages, Path("usr/lib") / VERSION):
        compileall.compile_dir(
            root / folder, stripdir=str(root), prependdir="/", quiet=2, workers=0
        )


def digest(services: Iterable[str]) -> str:
    """Return a digest of the files that ``install`` copies."""
    found = hashlib.sha256(identity.digest().encode())
    for distribution in distributions(services):
        found.update((distribution.read_text("RECORD") or "").encode())
    return found.hexdigest()


def distributions(services: Iterable[str]) -> list[metadata.Distribution]:
    """Return bsdgate, the services and all distributions that they require, sorted by name."""
    found = content.closure(["bsdgate", *SERVERS, *services])
    return [found[name] for name in sorted(found)]


def files_of(distribution: metadata.Distribution) -> Iterator[str]:
    """Yield the relative paths of the files, without commands and byte code."""
    for file in distribution.files or ():
        if not str(file).startswith("..") and file.suffix not in {".pyc", ".pth"}:
            yield str(file)
