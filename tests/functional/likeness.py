# SPDX-License-Identifier: Apache-2.0
"""Commands in bubblewrap, on a Linux without what FreeBSD lacks.

The loopback interface has only the address 127.0.0.1: the kernel refuses the others. The files are
read-only except those of the place, and /tmp is private. Every process of the Python interpreter
runs ``freebsd_python`` first.
"""

import ast
import compileall
import encodings
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from functional import freebsd_python
from functional.place import BIN, Done, Place

ROOT = Path(__file__).parents[2]
ENCODINGS = Path(encodings.__file__).parent

_NETWORK = ("--unshare-user", "--unshare-net", "--dev-bind", "/", "/")
_PROCESSES = ("--unshare-user", "--unshare-pid", "--unshare-ipc", "--cap-drop", "ALL")
_FILES = ("--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc")
_EMPTY = ("--tmpfs", "/sys", "--tmpfs", "/tmp")

# Sets the netmask of the loopback interface to one address (SIOCSIFNETMASK), clears the ambient
# capabilities (PR_CAP_AMBIENT_CLEAR_ALL), and becomes the command.
_ONE_ADDRESS = """
import ctypes, fcntl, os, socket, struct, sys
mask = struct.pack("16sH2x4s8x", b"lo", socket.AF_INET, b"\\xff" * 4)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
    fcntl.ioctl(any_socket, 0x891C, mask)
ctypes.CDLL(None).prctl(47, 4, 0, 0, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""


@dataclass(frozen=True)
class Record:
    """A line that a process wrote: its state when it began, or a path that it could not open."""

    argv: list[str]
    services: tuple[str, ...] = ()
    """The services that the process had imported."""
    present: list[str] = field(default_factory=list)
    """The names that the process had and that FreeBSD lacks."""
    refused: str | None = None
    caller: str | None = None
    """The module that tried to open the path."""


def why_impossible() -> str | None:
    """Return why this machine cannot run such commands, or None if it can."""
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed"
    probe = ["bwrap", *_NETWORK, "--", "bwrap", *_PROCESSES, *_FILES, "--", "true"]
    done = subprocess.run(probe, capture_output=True, text=True, check=False)
    if done.returncode:
        return f"bubblewrap does not work: {done.stderr.strip()}"
    return None


class Likeness:
    """Runs the commands of a place in bubblewrap."""

    def __init__(self, place: Place) -> None:
        """Make a copy of the package encodings that begins with ``freebsd_python``."""
        self.place = place
        self._records = place.root / "records"
        self._records.mkdir()
        self._encodings = place.root / "encodings"
        shutil.copytree(ENCODINGS, self._encodings, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(freebsd_python.__file__, self._encodings)
        with (self._encodings / "__init__.py").open("a") as file:
            file.write("\nfrom encodings import freebsd_python\n")
            file.write(f"freebsd_python.begin({str(self._records)!r})\n")
        compileall.compile_dir(self._encodings, quiet=1)
        self._planted: dict[Path, Path] = {}

    def run(self, *argv: str | Path) -> Done:
        """Run a command to its end."""
        return self.place.start(*self._bwrap(), *argv).done()

    def bsdgate(self, *arguments: str | Path) -> Done:
        """Run the bsdgate command to its end."""
        return self.run(BIN / "bsdgate", *arguments)

    def python(self, code: str, *options: str) -> Done:
        """Run Python code."""
        return self.run(BIN / "python", *options, "-c", code)

    def plant(self, package: str, file: str, line: str, code: str) -> None:
        """Put ``code`` before ``line``, with its indentation, in a file of a package."""
        spec = importlib.util.find_spec(package)
        assert spec is not None
        assert spec.submodule_search_locations is not None
        path = Path(spec.submodule_search_locations[0]) / file
        text = path.read_text()
        assert text.count(line) == 1
        indent = text.partition(line)[0].rpartition("\n")[2]
        changed = self.place.root / f"planted-{len(self._planted)}.py"
        changed.write_text(text.replace(line, f"{code}\n{indent}{line}"))
        self._planted[path] = changed

    def take_records(self) -> list[Record]:
        """Return the records since the last call."""
        return list(self._taken())

    def _taken(self) -> Iterator[Record]:
        for path in self._records.iterdir():
            for line in path.read_text().splitlines():
                yield Record(**ast.literal_eval(line))
            path.unlink()

    def _bwrap(self) -> Iterator[str | Path]:
        yield from ("bwrap", "--die-with-parent", *_NETWORK, "--cap-add", "CAP_NET_ADMIN", "--")
        yield from (sys.executable, "-I", "-c", _ONE_ADDRESS)
        yield from ("bwrap", "--die-with-parent", *_PROCESSES, *_FILES, *_EMPTY)
        # These may be in /tmp.
        for path in dict.fromkeys([ROOT, Path(sys.base_prefix), Path(sys.prefix)]):
            yield from ("--ro-bind", path, path)
        yield from ("--bind", self.place.root, self.place.root)
        yield from ("--ro-bind", self._encodings, ENCODINGS)
        for path, changed in self._planted.items():
            yield from ("--ro-bind", changed, path)
        yield "--"
