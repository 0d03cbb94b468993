# SPDX-License-Identifier: Apache-2.0
"""Builds a small image for guests of tests, from a kernel and other packages of Debian.

The image contains bsdgate with Keystone, if Debian's Python has the version of this Python.

The guest has a serial console, DHCP and sshd, and reads the seed of bsdgate at its first boot like
nuageinit of FreeBSD. The build needs no root permission and installs no package on this machine: it
downloads the packages with apt, and unpacks them. The digest of the contents is in the file name of
an image, so an image is built once. To build the image and print its path:

    python -m functional.guest_image FOLDER [ARCHITECTURE]
"""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from functional import guest_disk, guest_runtime
from functional.guest_disk import BOARDS, Board, Missing, run, tool_path

PACKAGES = ("openssh-server", "busybox-static", "dash", "python3")
"""The packages of the guest; apt adds their dependencies.

/bin/sh is dash: the shell of busybox would not run /bin/su, but a su of its own.
"""
SERVICES = ("keystone",)
"""The services in the guest."""
TOOLS = ("syslinux", "syslinux-common", "mtools", "busybox-static")
"""The packages that are used only for the build, for the architecture of this machine."""
LEFT_OUT = re.compile(r"perl|libperl|debconf|usrmerge|adduser|ucf|dpkg|lib(number|text|file)-")
"""The packages that are used only for the installation of packages."""

KEPT_SECONDS = 7 * 24 * 3600
"""The number of seconds after which an image that is no longer current is removed."""

# The list of installed packages is empty, so that apt returns all dependencies.
APT = ("-qq", "-oDir::State::status=/dev/null", "-oDebug::NoLocking=1", "-oAPT::Sandbox::User=root")
"""The options of apt."""
TERMINAL = "TERMINAL"
"""The word that stands for the serial port in the files below."""
ROOT_MIB = 1024
"""The size of the root file system."""

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
while true; do getty -L 115200 TERMINAL vt100; done
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


@dataclass(frozen=True)
class Package:
    """The name and the size of a package's file."""

    file: str
    size: int

    @property
    def name(self) -> str:
        """The name of the package, without version and architecture."""
        return self.file.partition("_")[0]


def build(folder: Path, architecture: str | None = None) -> Path:
    """Return the image. The image is built if it is not in the folder.

    ``architecture`` is that of the guest, by default that of this machine. A guest of another
    architecture has no bsdgate.

    :raises Missing: a program or package for the build is missing.
    """
    _check_programs()
    folder.mkdir(parents=True, exist_ok=True)
    native = run("dpkg", "--print-architecture").strip()
    board = BOARDS[architecture or native]
    with _locked(folder):
        foreign = architecture not in {None, native}
        apt = _foreign_apt(folder / str(architecture), str(architecture)) if foreign else []
        packages = _resolve(PACKAGES, apt)
        runtime = not foreign and _has_this_python(packages)
        parts = {
            "root": (packages, apt),
            "boot": (_resolve([_kernel(board, apt), *board.loader], apt, dependencies=False), apt),
            "tools": (_resolve(TOOLS, dependencies=False), []),
        }
        contents = [each for found, _ in parts.values() for each in found]
        image = folder / f"guest-{_digest(contents, runtime)}.qcow2"
        if not image.exists():
            _remove_old(folder)
            with tempfile.TemporaryDirectory(dir=folder, prefix="build-") as work:
                for name, (found, options) in parts.items():
                    _unpack(Path(work), found, Path(work) / name, options)
                if runtime:
                    guest_runtime.install(SERVICES, Path(work) / "root")
                made = _make(Path(work), board)
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
        if shutil.which(program, path=tool_path()) is None:
            raise Missing(f"{program} is missing: the image of the guest cannot be built")


def _foreign_apt(folder: Path, architecture: str) -> list[str]:
    """Get the lists of packages of another architecture; return the options of apt to use them.

    :raises Missing: apt cannot get the lists.
    """
    lists, cache = (folder.absolute() / name for name in ("lists", "cache"))
    for each in (lists / "partial", cache):
        each.mkdir(parents=True, exist_ok=True)
    options = [
        *(f"-oAPT::Architecture={architecture}", f"-oAPT::Architectures::={architecture}"),
        *(f"-oDir::State::lists={lists}", f"-oDir::Cache={cache}"),
    ]
    try:
        run("apt-get", *options, *APT, "update")
    except RuntimeError as error:
        raise Missing(f"apt cannot get the lists for {architecture}: {error}") from error
    return options


def _resolve(
    names: Sequence[str], apt: Sequence[str] = (), *, dependencies: bool = True
) -> list[Package]:
    """Return the packages with these names and, by default, their dependencies.

    ``apt`` are options of apt.

    :raises Missing: apt does not find a package.
    """
    verb = ["install", "-y", "--no-install-recommends"] if dependencies else ["download"]
    try:
        lines = run("apt-get", *apt, *APT, "--print-uris", *verb, *names).splitlines()
    except RuntimeError as error:
        raise Missing(f"apt does not know the packages: {error}") from error
    found = [line.split() for line in lines if line.startswith("'")]
    packages = [Package(file, int(size)) for _, file, size, *_ in found]
    return [each for each in packages if not LEFT_OUT.match(each.name)]


def _kernel(board: Board, apt: Sequence[str]) -> str:
    """Return the name of the package of the newest kernel."""
    try:
        found = re.search(r"Depends: (\S+)", run("apt-cache", *apt, "depends", board.kernel))
    except RuntimeError as error:
        raise Missing(f"apt does not know {board.kernel}: {error}") from error
    assert found is not None, f"{board.kernel} does not depend on a kernel"
    return found[1]


def _has_this_python(packages: Iterable[Package]) -> bool:
    """Return whether the guest can use compiled Python packages of this machine."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return f"python{version}" in {each.name for each in packages}


def _digest(packages: Iterable[Package], runtime: bool) -> str:
    parts = [Path(__file__).read_text(), Path(guest_disk.__file__).read_text()]
    if runtime:
        parts += [Path(guest_runtime.__file__).read_text(), guest_runtime.digest(SERVICES)]
    parts += sorted(f"{each.file} {each.size}" for each in packages)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _make(work: Path, board: Board) -> Path:
    """Make the image from the unpacked packages, and return its path."""
    root, image = work / "root", work / "image.qcow2"
    _fill(root, work / "tools" / "bin" / "busybox", board.terminal)
    disk = guest_disk.make(work, board, _make_root(work, root))
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", disk, image)
    return image


def _unpack(work: Path, packages: Sequence[Package], target: Path, apt: Sequence[str] = ()) -> None:
    downloads = work / "downloads"
    downloads.mkdir(exist_ok=True)
    names = [f"{each.name}={_version(each)}" for each in packages]
    try:
        run("apt-get", *apt, *APT, "download", *names, cwd=downloads)
    except RuntimeError as error:
        raise Missing(f"apt cannot download the packages: {error}") from error
    target.mkdir(exist_ok=True)
    for each in packages:
        run("dpkg-deb", "-x", downloads / each.file, target)


def _version(package: Package) -> str:
    return package.file.split("_")[1].replace("%3a", ":")


def _fill(root: Path, tool: Path, terminal: str) -> None:
    """Add links to busybox, and the files of this module. ``tool`` is busybox for this machine."""
    busybox = root / "bin" / "busybox"
    for name in ("proc", "sys", "dev", "run", "tmp", "mnt", "var/empty", "home", "sbin"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for line in run(tool, "--list-full").splitlines():
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
        path.write_text(text.replace(TERMINAL, terminal))
        path.chmod(mode)
    for name in ("usr/share/doc", "usr/share/man", "usr/share/locale"):
        shutil.rmtree(root / name, ignore_errors=True)


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
    run(*_as_root(), *argv)
    return image


def _as_root() -> list[str]:
    """Return a prefix for a command: the command sees the user's files as files of root."""
    return [] if os.geteuid() == 0 else ["unshare", "--map-root-user"]


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.stdout.write(f"{build(Path(sys.argv[1]), *sys.argv[2:])}\n")
