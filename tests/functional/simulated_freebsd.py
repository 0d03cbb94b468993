# SPDX-License-Identifier: Apache-2.0
"""A simulation of FreeBSD's programs, for a node that has nothing but sshd and a POSIX shell.

Only programs are simulated: uname, fetch, doas and pkg. pkg installs Python packages by a copy of
those of the running environment, and Python by a copy of its interpreter with own site-packages.
The kernel and the interpreter are those of this machine.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from bsdgate.harness.nodes.bootstrap import packages

SHORT = f"{sys.version_info.major}{sys.version_info.minor}"
NOTICE = "this pkg is a simulation of FreeBSD's pkg"
TOOLS = (
    "awk",
    "cat",
    "df",
    "env",
    "grep",
    "id",
    "ls",
    "realpath",
    "sed",
    "sh",
    "tail",
    "tr",
    "true",
)
"""The programs of this machine that are on the PATH of the node; FreeBSD's base has them too."""
_UNAME = {"-s": "FreeBSD", "-r": "15.1-RELEASE-p2", "-m": "amd64", "-p": "amd64"}
_CONFIGURATION = """\
# To disable a repository:
#   echo "FreeBSD-ports: { enabled: no }" > /usr/local/etc/pkg/repos/FreeBSD.conf
FreeBSD-ports: {
  url: "pkg+https://pkg.example.org/${ABI}/quarterly",
  mirror_type: "srv",
  enabled: yes
}
FreeBSD-base: {
  url: "pkg+https://pkg.example.org/${ABI}/base_release_${VERSION_MINOR}",
  enabled: yes
}
FreeBSD-base: { ENABLED: NO }
"""
_VERBOSE = """\
Version                        : 2.4.2
Repositories:
  FreeBSD-ports: {
    url             : "pkg+https://pkg.example.org/FreeBSD:15:amd64/quarterly",
    enabled         : yes,
    fingerprints    : "/usr/share/keys/pkg"
  }
  FreeBSD-base: {
    url             : "pkg+https://pkg.example.org/FreeBSD:15:amd64/base_release_1",
    enabled         : no
  }
"""


@dataclass
class Simulation:
    """The simulated programs in a directory, and their settings."""

    root: Path

    def __post_init__(self) -> None:
        self.bin.mkdir(parents=True)
        self.repositories.mkdir()
        for tool in TOOLS:
            path = shutil.which(tool)
            assert path is not None, f"{tool} is missing"
            (self.bin / tool).symlink_to(path)
        self.configure()
        lines = "".join(f"{option}) echo {text};;\n" for option, text in _UNAME.items())
        self._write("uname", f'case "$1" in\n{lines}esac')
        (self.repositories / "FreeBSD.conf").write_text(_CONFIGURATION)
        self._write("fetch", f"test -e {shlex.quote(str(self.root / 'reachable'))}")
        self._write("doas", 'test "$1" = -n && shift && exec "$@"')
        program = [sys.executable, __file__, str(self.root)]
        self._write("pkg", f'exec {shlex.join(program)} "$@"')

    @property
    def bin(self) -> Path:
        """The directory of the programs."""
        return self.root / "bin"

    @property
    def repositories(self) -> Path:
        """The directory of the configuration of the repositories (REPOS_DIR)."""
        return self.root / "repositories"

    @property
    def calls(self) -> list[list[str]]:
        """The arguments of the calls of ``pkg install``."""
        path = self.root / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def configure(
        self, *, reachable: bool = True, older: dict[str, str] | None = None, missing: str = ""
    ) -> None:
        """Set the repository: whether it is reachable, versions of packages, a missing package."""
        (self.root / "reachable").unlink(missing_ok=True)
        if reachable:
            (self.root / "reachable").touch()
        settings = {"older": older or {}, "missing": missing}
        (self.root / "settings.json").write_text(json.dumps(settings))

    def _write(self, name: str, text: str) -> None:
        (self.bin / name).write_text(f"#!/bin/sh\n{text}\n")
        (self.bin / name).chmod(0o755)


def main() -> int:
    """Simulate pkg."""
    root, *arguments = sys.argv[1:]
    simulation = Simulation.__new__(Simulation)
    simulation.root = Path(root)
    installed = simulation.root / "pkg-is-installed"
    if arguments == ["-N"]:
        return 0 if installed.exists() else 1
    if arguments[0] in {"-v", "-vv"}:
        sys.stdout.write("2.4.2\n" if arguments[0] == "-v" else _VERBOSE)
        return 0
    if not installed.exists():
        if os.environ.get("ASSUME_ALWAYS_YES") != "yes":
            sys.stdout.write("The package management tool is not yet installed\n")
            return 1
        installed.touch()
    if arguments[0] == "query":
        for name in (each for call in simulation.calls for each in call):
            sys.stdout.write(f"{arguments[1].replace('%n', name).replace('%v', '1')}\n")
        return 0
    assert arguments[:2] == ["install", "-y"], arguments
    sys.stdout.write(f"{NOTICE}\n")
    return install(simulation, arguments[2:])


def install(simulation: Simulation, names: list[str]) -> int:
    """Install packages, all or none."""
    settings = json.loads((simulation.root / "settings.json").read_text())
    with (simulation.root / "calls").open("a") as calls:
        calls.write(f"{json.dumps(names)}\n")
    if settings["missing"] in names:
        text = f"pkg: No packages available to install matching '{settings['missing']}'"
        sys.stderr.write(f"{text} have been found in the repositories\n")
        return 1
    ports = {each.package(SHORT): each for each in packages.SYSTEM}
    for name in names:
        if name == f"python{SHORT}":
            install_python(simulation.root)
        elif name in ports and ports[name].name != "sqlite3":
            install_package(simulation, ports[name].name, settings["older"])
    return 0


def install_python(root: Path) -> None:
    """Copy the interpreter; its standard library consists of links."""
    real = Path(sys.base_prefix, "bin", f"python{sysconfig.get_python_version()}").resolve()
    stdlib = Path(sysconfig.get_path("stdlib"))
    library = root / "lib" / stdlib.name
    library.mkdir(parents=True)
    for each in stdlib.iterdir():
        if each.name not in {"site-packages", "dist-packages"}:
            (library / each.name).symlink_to(each)
    (library / "site-packages").mkdir()
    shutil.copy(real, root / "bin" / real.name)


def site_of(root: Path) -> Path:
    """Return the directory of the packages of the copied interpreter."""
    python = root / "bin" / f"python{sysconfig.get_python_version()}"
    code = "import site; print(site.getsitepackages()[0])"
    found = subprocess.run([python, "-I", "-c", code], check=True, capture_output=True, text=True)
    return Path(found.stdout.strip())


def install_package(simulation: Simulation, name: str, older: dict[str, str]) -> None:
    """Copy a distribution; ``older`` has other versions for the description of some."""
    site, distribution = site_of(simulation.root), metadata.distribution(name)
    for file in distribution.files or ():
        source = Path(str(distribution.locate_file(file)))
        if ".." not in file.parts and source.is_file():
            target = site / Path(*file.parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
            if name in older and file.name == "METADATA":
                text = target.read_text().replace(
                    f"\nVersion: {distribution.version}\n", f"\nVersion: {older[name]}\n"
                )
                target.write_text(text)


if __name__ == "__main__":
    sys.exit(main())
