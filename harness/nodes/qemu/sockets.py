# SPDX-License-Identifier: Apache-2.0
"""The sockets of QEMU in the directory of a guest. Their path can be longer than the maximum."""

import contextlib
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bsdgate.harness.errors import InfrastructureError

PATH_MAX: Final = 103
"""The maximum number of bytes of a socket's path on FreeBSD."""
_SHORT_FOLDERS: Final = ("/tmp", "/var/tmp")  # noqa: S108 - a folder with a random name is made


def listen(path: Path) -> socket.socket:
    """Return a socket that listens at a path, for QEMU to inherit."""
    path.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX)
    try:
        with _short_path(path) as short:
            made.bind(str(short))
        made.listen(1)
    except BaseException:
        made.close()
        raise
    return made


def connect(path: Path, seconds: float) -> socket.socket:
    """Return a connection to the socket at a path. ``seconds`` is the time limit of each call.

    :raises InfrastructureError: no process listens at this path.
    """
    made = socket.socket(socket.AF_UNIX)
    made.settimeout(seconds)
    try:
        with _short_path(path) as short:
            made.connect(str(short))
    except OSError as error:
        made.close()
        raise InfrastructureError(
            f"cannot connect to QEMU at {path}: {error.strerror or error}",
            "check with `bsdgate node list` that the guest runs",
        ) from error
    return made


@contextlib.contextmanager
def _short_path(path: Path) -> Iterator[Path]:
    """Yield the path, or a path through a temporary link if the path is too long for a socket."""
    if len(os.fsencode(path)) <= PATH_MAX:
        yield path
        return
    longest = PATH_MAX - len("/bsdgate-XXXXXXXX/guest/") - len(path.name)
    parents = (tempfile.gettempdir(), *_SHORT_FOLDERS)
    parent = next(each for each in parents if len(os.fsencode(each)) <= longest)
    with tempfile.TemporaryDirectory(prefix="bsdgate-", dir=parent) as folder:
        link = Path(folder) / "guest"
        link.symlink_to(path.parent)
        yield link / path.name
