# SPDX-License-Identifier: Apache-2.0
"""Builds a small image for guests of tests, from a kernel and other packages of Debian.

The image contains bsdgate with Keystone, if Debian's Python has the version of this Python.

The guest has a serial console, DHCP and sshd, and reads the seed of bsdgate at its first boot like
nuageinit of FreeBSD. The build needs no root permission and installs no package on this machine: it
downloads the packages with apt, and unpacks them. The digest of the contents is in the file name of
an image, so an image is built once. To build the image and print its path:

    python -m functional.guest_image FOLDER
"""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import stat
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from functional import guest_runtime

KERNEL = "linux-image-cloud-amd64"
PACKAGES = ("openssh-server", "busybox-static", "dash", "python3")
"""The packages of the guest; apt adds their dependencies.

/bin/sh is dash: the shell of busybox would not run /bin/su, but a su of its own.
"""
SERVICES = ("keystone",)
"""The services in the guest."""
TOOLS = ("syslinux", "syslinux-common", "mtools")
"""The packages that are used only for the build."""
LEFT_OUT = re.compile(r"perl|libperl|debconf|usrmerge|adduser|ucf|dpkg|lib(number|text|file)-")
"""The packages that are used only for the installation of packages."""
MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "crc32c_generic", "ext4", "isofs")

KEPT_SECONDS = 7 * 24 * 3600
"""The number of seconds after which an image that is no longer current is removed."""

SECTOR = 512
BOOT_START, BOOT_SECTORS = 2048, 64 << 11
ROOT_START = BOOT_START + BOOT_SECTORS
MIB = 1 << 20
ROOT_MIB = 1024
"""The size of the root file system."""

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
_INIT = """\
#!/bin/sh
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mkdir -p /dev/pts /run/sshd
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs -o mode=1777 tmpfs /dev/shm 2>/dev/null
ip link set lo up
ip link set eth0 up
udhcpc -i eth0 -q -n -s /etc/udhcpc.script >/dev/null
test -e /etc/seeded || /sbin/read-seed
hostname -F /etc/hostname
chmod 755 /run/sshd
/usr/sbin/sshd
while true; do getty -L 115200 ttyS0 vt100; done
"""
_SEED = """\
#!/bin/sh
set -e
mount -t iso9660 -o ro /dev/vdb /mnt
field() { sed -n "s/^.*\\"$2\\": \\"\\([^\\"]*\\)\\".*/\\1/p" "/mnt/$1" | head -n 1; }
user=$(field user-data name)
field meta-data local-hostname >/etc/hostname
echo "$user:x:1001:1001::/home/$user:/bin/sh" >>/etc/passwd
echo "$user:*:19000::::::" >>/etc/shadow
echo "$user:x:1001:" >>/etc/group
mkdir -p "/home/$user/.ssh"
sed -n 's/^.*"\\(ssh-[^"]*\\)".*/\\1/p' /mnt/user-data >"/home/$user/.ssh/authorized_keys"
chmod -R go= "/home/$user"
chown -R 1001:1001 "/home/$user"
umount /mnt
ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
touch /etc/seeded
"""
_DHCP = """\
#!/bin/sh
test "$1" = bound || test "$1" = renew || exit 0
ifconfig "$interface" "$ip" netmask "$subnet"
route add default gw "$router"
for each in $dns; do echo "nameserver $each"; done >/etc/resolv.conf
"""
_SSHD = """\
HostKey /etc/ssh/ssh_host_ed25519_key
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
PrintMotd no
Subsystem sftp internal-sftp
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
_FILES: Mapping[str, tuple[str, int]] = {
    "sbin/init": (_INIT, 0o755),
    "sbin/read-seed": (_SEED, 0o755),
    "etc/udhcpc.script": (_DHCP, 0o755),
    "etc/ssh/sshd_config": (_SSHD, 0o644),
    "etc/passwd": (
        "root:x:0:0:root:/:/bin/sh\nsshd:x:100:65534::/run/sshd:/bin/false\n",
        0o644,
    ),
    # root does not have a password, as in the images of FreeBSD; sshd accepts no passwords.
    "etc/shadow": ("root::19000::::::\nsshd:*:19000::::::\n", 0o600),
    "etc/group": ("root:x:0:\nwheel:x:10:\nnogroup:x:65534:\n", 0o644),
    "etc/nsswitch.conf": ("passwd: files\ngroup: files\nhosts: files dns\n", 0o644),
    "etc/hosts": ("127.0.0.1 localhost\n", 0o644),
    "etc/hostname": ("guest\n", 0o644),
}


class Missing(Exception):
    """A program or package for the build is missing on this machine."""


@dataclass(frozen=True)
class Package:
    """The name and the size of a package's file."""

    file: str
    size: int

    @property
    def name(self) -> str:
        """The name of the package, without version and architecture."""
        return self.file.partition("_")[0]


def build(folder: Path) -> Path:
    """Return the image. The image is built if it is not in the folder.

    :raises Missing: a program or package for the build is missing.
    """
    _check_programs()
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        packages = _resolve(PACKAGES)
        runtime = _has_this_python(packages)
        kernel, tools = (_resolve(each, dependencies=False) for each in ([_kernel()], TOOLS))
        image = folder / f"guest-{_digest([*packages, *kernel, *tools], runtime)}.qcow2"
        if not image.exists():
            _remove_old(folder)
            with tempfile.TemporaryDirectory(dir=folder, prefix="build-") as work:
                work_folder = Path(work)
                _unpack(work_folder, packages, work_folder / "root")
                _unpack(work_folder, kernel, work_folder / "kernel")
                _unpack(work_folder, tools, work_folder / "tools")
                if runtime:
                    guest_runtime.install(SERVICES, work_folder / "root")
                made = _make(work_folder)
                made.chmod(0o444)
                made.rename(image)
        return image


def _remove_old(folder: Path) -> None:
    """Remove the images that are older than ``KEPT_SECONDS``."""
    for each in folder.glob("guest-*.qcow2"):
        if time.time() - each.stat().st_mtime > KEPT_SECONDS:
            each.unlink()


def _check_programs() -> None:
    """Check the programs for the build.

    :raises Missing: a program is missing on this machine.
    """
    for program in ("apt-get", "apt-cache", "dpkg-deb", "mke2fs", "qemu-img"):
        if shutil.which(program, path=_path()) is None:
            raise Missing(f"{program} is missing: the image of the guest cannot be built")


def _resolve(names: Sequence[str], *, dependencies: bool = True) -> list[Package]:
    """Return the packages with these names and, by default, their dependencies.

    :raises Missing: apt does not find a package.
    """
    # The list of installed packages is empty, so that apt returns all dependencies.
    options = ["-qq", "--print-uris", "-o", "Dir::State::status=/dev/null", "-oDebug::NoLocking=1"]
    verb = ["install", "-y", "--no-install-recommends"] if dependencies else ["download"]
    try:
        lines = _run("apt-get", *options, *verb, *names).splitlines()
    except RuntimeError as error:
        raise Missing(f"apt does not know the packages: {error}") from error
    found = [line.split() for line in lines if line.startswith("'")]
    packages = [Package(file, int(size)) for _, file, size, *_ in found]
    return [each for each in packages if not LEFT_OUT.match(each.name)]


def _kernel() -> str:
    """Return the name of the package of the newest kernel."""
    try:
        found = re.search(r"Depends: (\S+)", _run("apt-cache", "depends", KERNEL))
    except RuntimeError as error:
        raise Missing(f"apt does not know {KERNEL}: {error}") from error
    assert found is not None, f"{KERNEL} does not depend on a kernel"
    return found[1]


def _has_this_python(packages: Iterable[Package]) -> bool:
    """Return whether the guest can use compiled Python packages of this machine."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return f"python{version}" in {each.name for each in packages}


def _digest(packages: Iterable[Package], runtime: bool) -> str:
    parts = [Path(__file__).read_text()]
    if runtime:
        parts += [Path(guest_runtime.__file__).read_text(), guest_runtime.digest(SERVICES)]
    parts += sorted(f"{each.file} {each.size}" for each in packages)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _make(work: Path) -> Path:
    """Make the image from the unpacked packages, and return its path."""
    root, tools, kernel = work / "root", work / "tools", work / "kernel"
    _fill(root)
    _write_initrd(work / "initrd", root / "bin" / "busybox", kernel)
    boot = _make_boot(work, tools, next((kernel / "boot").glob("vmlinuz-*")))
    disk, image = work / "disk.raw", work / "image.qcow2"
    _make_disk(disk, boot, _make_root(work, root), tools)
    _run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", disk, image)
    return image


def _unpack(work: Path, packages: Sequence[Package], target: Path) -> None:
    downloads = work / "downloads"
    downloads.mkdir(exist_ok=True)
    names = [f"{each.name}={_version(each)}" for each in packages]
    options = ["-qq", "-oAPT::Sandbox::User=root"]
    try:
        _run("apt-get", *options, "download", *names, cwd=downloads)
    except RuntimeError as error:
        raise Missing(f"apt cannot download the packages: {error}") from error
    target.mkdir(exist_ok=True)
    for each in packages:
        _run("dpkg-deb", "-x", downloads / each.file, target)


def _version(package: Package) -> str:
    return package.file.split("_")[1].replace("%3a", ":")


def _fill(root: Path) -> None:
    busybox = root / "bin" / "busybox"
    for name in ("proc", "sys", "dev", "run", "tmp", "mnt", "var/empty", "home", "sbin"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for line in _run(busybox, "--list-full").splitlines():
        path = root / line
        if not os.path.lexists(path) and not os.path.lexists(root / "usr" / line):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to("/bin/busybox")
    (root / "bin" / "sh").unlink()
    (root / "bin" / "sh").symlink_to("dash")
    shutil.copy(busybox, root / "bin" / "su.new")
    (root / "bin" / "su.new").chmod(0o4755)
    (root / "bin" / "su.new").replace(root / "bin" / "su")
    for name, (text, mode) in _FILES.items():
        path = root / name
        path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
    for name in ("usr/share/doc", "usr/share/man", "usr/share/locale"):
        shutil.rmtree(root / name, ignore_errors=True)


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


def _make_boot(work: Path, tools: Path, vmlinuz: Path) -> Path:
    """Make the file system of the boot partition with the boot loader, and return its path."""
    image, config = work / "boot.fat", work / "syslinux.cfg"
    config.write_text(_SYSLINUX)
    with image.open("wb") as file:
        file.truncate(BOOT_SECTORS * SECTOR)
    path = f"{tools / 'usr' / 'bin'}:{_path()}"
    _run("mformat", "-i", image, "-h", "255", "-s", "63", "-H", str(BOOT_START), "::", path=path)
    for source, target in ((vmlinuz, "vmlinuz"), (work / "initrd", "initrd"), (config, None)):
        _run("mcopy", "-i", image, source, f"::{target or config.name}", path=path)
    _run("syslinux", "--install", image, path=path)
    return image


def _make_root(work: Path, root: Path) -> Path:
    image = work / "root.ext4"
    argv: list[str | Path] = [
        "mke2fs",
        "-q",
        "-t",
        "ext4",
        "-d",
        root,
        "-O",
        "^has_journal",
        image,
        f"{ROOT_MIB}M",
    ]
    _run(*_as_root(), *argv)
    return image


def _as_root() -> list[str]:
    """Return a prefix for a command: the command sees the user's files as files of root."""
    return [] if os.geteuid() == 0 else ["unshare", "--map-root-user"]


def _make_disk(disk: Path, boot: Path, root: Path, tools: Path) -> None:
    """Write the disk: the boot code and the partition table, then the two partitions."""
    code = (tools / "usr" / "lib" / "syslinux" / "mbr" / "mbr.bin").read_bytes()
    sectors = root.stat().st_size // SECTOR
    entries = [_entry(0x80, 0x0C, BOOT_START, BOOT_SECTORS), _entry(0, 0x83, ROOT_START, sectors)]
    table = b"".join(entries).ljust(64, b"\0") + b"\x55\xaa"
    with disk.open("wb") as file:
        file.write(code.ljust(446, b"\0") + table)
        for start, part in ((BOOT_START, boot), (ROOT_START, root)):
            file.seek(start * SECTOR)
            with part.open("rb") as source:
                shutil.copyfileobj(source, file, MIB)


def _entry(active: int, kind: int, start: int, sectors: int) -> bytes:
    anywhere = b"\xfe\xff\xff"
    return struct.pack("<B3sB3sII", active, anywhere, kind, anywhere, start, sectors)


def _path() -> str:
    return f"{os.environ['PATH']}:/usr/sbin:/sbin"


def _run(*argv: str | Path, cwd: Path | None = None, path: str | None = None) -> str:
    env = {**os.environ, "PATH": path or _path(), "LC_ALL": "C"}
    done = subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, argv))}:\n{done.stdout}{done.stderr}")
    return done.stdout


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.stdout.write(f"{build(Path(sys.argv[1]))}\n")
