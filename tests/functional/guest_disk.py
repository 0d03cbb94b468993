# SPDX-License-Identifier: Apache-2.0
"""The disk of a guest of tests: a partition with boot loader, kernel and initrd, and the root.

An amd64 guest is booted by syslinux and the BIOS, an arm64 guest by systemd-boot and UEFI.
"""

import os
import re
import shutil
import stat
import struct
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "crc32c_generic", "ext4", "isofs")

SECTOR = 512
BOOT_START, BOOT_SECTORS = 2048, 64 << 11
ROOT_START = BOOT_START + BOOT_SECTORS
MIB = 1 << 20

_EARLY = """\
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
for each in {modules}; do /bin/busybox insmod /modules/$each; done
while ! test -b /dev/vda2; do /bin/busybox usleep 50000; done
/bin/busybox mount -t ext4 /dev/vda2 /new
/bin/busybox mount --move /dev /new/dev
exec /bin/busybox switch_root /new /sbin/init
"""
_SYSLINUX = """\
SERIAL 0 115200
DEFAULT linux
PROMPT 0
LABEL linux
 KERNEL vmlinuz
 INITRD initrd
 APPEND console=ttyS0,115200 loglevel=7
"""
_SYSTEMD_BOOT = """\
title linux
linux /vmlinuz
initrd /initrd
options console=ttyAMA0,115200 loglevel=7
"""


class Missing(Exception):
    """A program or package for the build is missing on this machine."""


@dataclass(frozen=True)
class Board:
    """The properties of an architecture.

    ``kernel`` is the package of the kernel, ``loader`` the package of the boot loader for UEFI, and
    ``terminal`` the first serial port. ``partition`` is the type of the boot partition.
    """

    kernel: str
    loader: tuple[str, ...]
    terminal: str
    partition: int


BOARDS: Mapping[str, Board] = {
    "amd64": Board("linux-image-cloud-amd64", (), "ttyS0", 0x0C),
    "arm64": Board("linux-image-cloud-arm64", ("systemd-boot-efi",), "ttyAMA0", 0xEF),
}


def make(work: Path, board: Board, root: Path) -> Path:
    """Make the disk from the unpacked packages in ``work`` and the image of the root file system.

    Return its path. The packages are in the directories ``boot`` and ``tools``, the files of the
    root file system in ``root``.
    """
    packages, tools, disk = work / "boot", work / "tools", work / "disk.raw"
    _write_initrd(work / "initrd", work / "root" / "bin" / "busybox", packages)
    vmlinuz = next((packages / "boot").glob("vmlinuz-*"))
    files = {"vmlinuz": vmlinuz, "initrd": work / "initrd"}
    path = f"{tools / 'usr' / 'bin'}:{tool_path()}"
    if board.loader:
        loader = next(packages.rglob("systemd-bootaa64.efi"))
        entry = _written(work / "linux.conf", _SYSTEMD_BOOT)
        files |= {"EFI/BOOT/BOOTAA64.EFI": loader, "loader/entries/linux.conf": entry}
        _write_disk(disk, b"", board, _make_boot(work, files, path), root)
    else:
        files |= {"syslinux.cfg": _written(work / "syslinux.cfg", _SYSLINUX)}
        boot = _make_boot(work, files, path)
        run("syslinux", "--install", boot, path=path)
        code = (tools / "usr" / "lib" / "syslinux" / "mbr" / "mbr.bin").read_bytes()
        _write_disk(disk, code, board, boot, root)
    return disk


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def _make_boot(work: Path, files: Mapping[str, Path], path: str) -> Path:
    """Make the file system of the boot partition with these files, and return its path."""
    image = work / "boot.fat"
    with image.open("wb") as file:
        file.truncate(BOOT_SECTORS * SECTOR)
    run("mformat", "-i", image, "-h", "255", "-s", "63", "-H", str(BOOT_START), "::", path=path)
    folders = sorted({str(each) for name in files for each in Path(name).parents} - {"."})
    for folder in folders:
        run("mmd", "-i", image, f"::{folder}", path=path)
    for name, source in files.items():
        run("mcopy", "-i", image, source, f"::{name}", path=path)
    return image


def _write_disk(disk: Path, code: bytes, board: Board, boot: Path, root: Path) -> None:
    """Write the disk: the boot code and the partition table, then the two partitions."""
    sectors = root.stat().st_size // SECTOR
    first = _entry(0x80, board.partition, BOOT_START, BOOT_SECTORS)
    table = (first + _entry(0, 0x83, ROOT_START, sectors)).ljust(64, b"\0") + b"\x55\xaa"
    with disk.open("wb") as file:
        file.write(code.ljust(446, b"\0") + table)
        for start, part in ((BOOT_START, boot), (ROOT_START, root)):
            file.seek(start * SECTOR)
            with part.open("rb") as source:
                shutil.copyfileobj(source, file, MIB)


def _entry(active: int, kind: int, start: int, sectors: int) -> bytes:
    anywhere = b"\xfe\xff\xff"
    return struct.pack("<B3sB3sII", active, anywhere, kind, anywhere, start, sectors)


def _write_initrd(path: Path, busybox: Path, kernel: Path) -> None:
    modules = _modules(next((kernel / "lib" / "modules").iterdir()))
    names = " ".join(each.name for each in modules)
    with path.open("wb") as file:
        for name in ("bin", "modules", "proc", "sys", "dev", "new"):
            file.write(_cpio(name, stat.S_IFDIR | 0o755, b""))
        file.write(_cpio("bin/busybox", stat.S_IFREG | 0o755, busybox.read_bytes()))
        for each in modules:
            file.write(_cpio(f"modules/{each.name}", stat.S_IFREG | 0o644, each.read_bytes()))
        script = _EARLY.format(modules=names).encode()
        file.write(_cpio("init", stat.S_IFREG | 0o755, script))
        file.write(_cpio("TRAILER!!!", 0, b""))


def _modules(folder: Path) -> list[Path]:
    """Return the files of the modules and of their dependencies, in the order of loading."""
    files = {each.stem.replace("-", "_"): each for each in folder.rglob("*.ko")}
    builtin = (folder / "modules.builtin").read_text().replace("-", "_")
    found: list[Path] = []

    def add(name: str) -> None:
        path = files.get(name.replace("-", "_"))
        if path is None:
            if f"/{name.replace('-', '_')}.ko" not in builtin:
                raise Missing(f"the kernel has no module {name}")
        elif path not in found:
            for each in _needed(path):
                add(each)
            found.append(path)

    for module in MODULES:
        add(module)
    return found


def _needed(module: Path) -> list[str]:
    """Return the names of the dependencies of a module, which are in its file."""
    depends = re.search(rb"\0depends=([^\0]*)\0", module.read_bytes())
    return [each for each in (depends[1].decode().split(",") if depends else []) if each]


def _cpio(name: str, mode: int, data: bytes) -> bytes:
    """Return an entry of a cpio archive in the format newc."""
    fields = (0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08x" % each for each in fields) + name.encode() + b"\0"
    return _padded(head, 4) + _padded(data, 4)


def _padded(data: bytes, size: int) -> bytes:
    return data + bytes(-len(data) % size)


def tool_path() -> str:
    """Return the PATH with the directories of root's programs."""
    return f"{os.environ['PATH']}:/usr/sbin:/sbin"


def run(*argv: str | Path, cwd: Path | None = None, path: str | None = None) -> str:
    """Run a command, and return its output.

    :raises RuntimeError: the command failed; the message has its output.
    """
    env = {**os.environ, "PATH": path or tool_path(), "LC_ALL": "C"}
    done = subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, argv))}:\n{done.stdout}{done.stderr}")
    return done.stdout
