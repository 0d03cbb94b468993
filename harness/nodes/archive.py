# SPDX-License-Identifier: Apache-2.0
"""Copies directories between machines as tar streams, which contain only files and links.

``python -m bsdgate.harness.nodes.archive pack FOLDER`` writes the regular files of a directory to
the standard output; ``... unpack FOLDER`` makes a new directory from the standard input.
"""

import io
import os
import stat
import sys
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Final

from bsdgate.harness import folders
from bsdgate.harness.errors import InfrastructureError

_FORMAT: Final = tarfile.PAX_FORMAT


def pack(folder: Path, target: IO[bytes], names: Sequence[Path] | None = None) -> None:
    """Write these files of a directory, by default all regular files; none if it is missing.

    Files may grow meanwhile, as logs do.
    """
    with tarfile.open(fileobj=target, mode="w|", format=_FORMAT) as archive:
        for name in _regular(folder) if names is None else names:
            if names is not None and (folder / name).is_symlink():
                _add_link(archive, folder, name)
            else:
                _add_file(archive, folder, name)


def unpack(source: IO[bytes], folder: Path, *, links: bool = False) -> None:
    """Unpack an archive into a directory; ``links``: whether the archive may have links.

    :raises InfrastructureError: the archive is damaged, or has another type of file or a path
    outside of ``folder``.
    """
    try:
        with tarfile.open(fileobj=source, mode="r|") as archive:
            for member in archive:
                _extract(archive, member, folder, links)
    except (tarfile.TarError, EOFError) as error:
        raise InfrastructureError(f"the archive for {folder} is damaged: {error}") from error


def _regular(folder: Path) -> Iterator[Path]:
    for parent, inner, names in os.walk(folder):
        inner.sort()
        for name in sorted(names):
            path = Path(parent, name)
            if stat.S_ISREG(path.lstat().st_mode):
                yield path.relative_to(folder)


def _add_file(archive: tarfile.TarFile, folder: Path, name: Path) -> None:
    # The file may have become a FIFO or a link since it was listed: do not wait, do not follow.
    fd = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(fd, "rb") as file:
        found = os.fstat(fd)
        content = file.read(found.st_size)
    member = tarfile.TarInfo(name.as_posix())
    member.size, member.mode = len(content), stat.S_IMODE(found.st_mode)
    member.mtime = found.st_mtime
    archive.addfile(member, io.BytesIO(content))


def _add_link(archive: tarfile.TarFile, folder: Path, name: Path) -> None:
    member = tarfile.TarInfo(name.as_posix())
    member.type, member.linkname = tarfile.SYMTYPE, str((folder / name).readlink())
    archive.addfile(member)


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, links: bool) -> None:
    name = PurePosixPath(member.name)
    content = archive.extractfile(member) if member.isreg() else None
    if name.is_absolute() or ".." in name.parts or not (content or (links and member.issym())):
        raise InfrastructureError(
            f"the archive for {folder} has {member.name!r}, which is not a file"
        )
    path = folder / name
    if any((folder / parent).is_symlink() for parent in name.parents):
        raise InfrastructureError(f"the archive for {folder} has {member.name!r} below a link")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if content is None:
        path.symlink_to(member.linkname)
        return
    executable = member.mode & stat.S_IXUSR
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, 0o600 | executable), "wb") as made:
        while chunk := content.read(1 << 20):
            made.write(chunk)


def main() -> None:
    """Pack or unpack a directory."""
    verb, folder = sys.argv[1], Path(sys.argv[2])
    if verb == "pack":
        pack(folder, sys.stdout.buffer)
    else:
        folders.make(folder)
        unpack(sys.stdin.buffer, folder, links=True)


if __name__ == "__main__":
    main()
