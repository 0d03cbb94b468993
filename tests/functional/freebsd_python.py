# SPDX-License-Identifier: Apache-2.0
"""Remove from this Python what Python on FreeBSD 15 lacks, and refuse to open /proc and /sys.

``likeness.py`` adds this module to the package ``encodings``, which every Python process imports
before anything else, also with ``-I`` and ``-S``. The interpreter cannot import all other modules
at that moment, so this module uses only those that are loaded already.
"""

import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

ABSENT = {
    "posix": """
        pidfd_open P_PIDFD PIDFD_NONBLOCK getrandom GRND_NONBLOCK GRND_RANDOM O_TMPFILE
        splice SPLICE_F_MORE SPLICE_F_MOVE SPLICE_F_NONBLOCK setns unshare CLONE_*
        getxattr listxattr removexattr setxattr XATTR_*
    """,
    "select": "epoll EPOLL*",
    "_signal": "pidfd_send_signal SIGPOLL SIGPWR SIGCLD",
    "_socket": """
        AF_NETLINK NETLINK_* AF_PACKET PF_PACKET PACKET_* AF_VSOCK VMADDR_* VM_SOCKETS_* SO_VM_*
        IOCTL_VM_* AF_ALG ALG_* SOL_ALG TCP_USER_TIMEOUT TCP_CORK SO_PEERCRED SO_BINDTODEVICE
        SO_MARK IP_TRANSPARENT
    """,
    "resource": "prlimit",
}
"""The names to remove from each module; ``*`` at the end stands for any characters."""

COPIES = {"os": "posix", "signal": "_signal", "socket": "_socket"}
"""The modules that copy all names of a module in ``ABSENT`` when they are imported."""

SERVICES = ("keystone", "placement", "glance", "neutron", "nova", "ironic")

REFUSED = ("/proc", "/sys", "/dev/fd")
"""The directories that FreeBSD does not have; on Linux, /dev/fd is a link into /proc."""

EVENTS = ("open", "os.listdir", "os.scandir")
"""The audit events that have a path as their first argument."""

READER = "psutil"
"""The only package that may read /proc: on FreeBSD it uses sysctl."""

READER_FOR_LINUX = "psutil._pslinux"
"""The module of psutil that needs AF_PACKET, and that FreeBSD does not use."""

_AF_PACKET = 17
_ENOENT = 2


def begin(records: str) -> None:
    """Change this process and those that it forks; they write to the directory ``records``.

    A record is one line: a dictionary in the syntax of Python. A file contains the records of the
    processes with one process id.
    """

    def write(**record: object) -> None:
        path = f"{records}/{posix.getpid()}"
        file = posix.open(path, posix.O_WRONLY | posix.O_CREAT | posix.O_APPEND, 0o600)
        posix.write(file, f"{record!a}\n".encode())
        posix.close(file)

    def write_state() -> None:
        loaded = tuple(name for name in SERVICES if name in sys.modules)
        write(argv=sys.orig_argv, services=loaded, present=present())

    def refuse(event: str, arguments: "tuple[Any, ...]") -> None:
        if event in EVENTS and is_refused(arguments[0]):
            caller = str(sys._getframe(1).f_globals.get("__name__"))
            if caller.partition(".")[0] != READER:
                write(argv=sys.orig_argv, refused=_text(arguments[0]), caller=caller)
                raise FileNotFoundError(_ENOENT, "FreeBSD has no such file", arguments[0])

    for name in set(ABSENT) & set(sys.modules):
        remove(sys.modules[name])
    sys.meta_path.insert(0, Finder())
    sys.addaudithook(refuse)
    posix.register_at_fork(after_in_child=write_state)
    write_state()


def is_refused(path: "Any") -> bool:
    """Return whether a path is in one of the directories; a descriptor and None are not."""
    if path is None or isinstance(path, int):
        return False
    whole = absolute(_text(path))
    return any(whole == each or whole.startswith(f"{each}/") for each in REFUSED)


def absolute(path: str) -> str:
    """Return the absolute path without ``.``, ``..`` and double slashes."""
    parts: list[str] = []
    for part in (path if path.startswith("/") else f"{posix.getcwd()}/{path}").split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return f"/{'/'.join(parts)}"


def _text(path: "Any") -> str:
    plain = posix.fspath(path)
    return plain.decode("utf-8", "surrogateescape") if isinstance(plain, bytes) else str(plain)


def remove(module: "ModuleType") -> None:
    """Remove from a module in ``ABSENT`` the names that it lacks on FreeBSD."""
    for name in absent(module, module.__name__):
        delattr(module, name)


def present() -> list[str]:
    """Return the names that the loaded modules have, and lack on FreeBSD."""
    return [
        f"{name}.{each}"
        for name in (*ABSENT, *COPIES)
        if name in sys.modules
        for each in absent(sys.modules[name], COPIES.get(name, name))
    ]


def absent(module: "ModuleType", name: str) -> list[str]:
    """Return those names of a module that the module ``name`` lacks on FreeBSD."""
    patterns = ABSENT[name].split()
    return [each for each in vars(module) if any(_matches(each, known) for known in patterns)]


def _matches(name: str, pattern: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


class Finder:
    """Finds the modules to change by the other finders, and wraps their loaders."""

    def find_spec(self, name: str, path: "Any" = None, target: "Any" = None) -> "Any":
        """Return the spec of a module to change, None for other modules."""
        if name not in (*ABSENT, READER_FOR_LINUX):
            return None
        for finder in sys.meta_path:
            spec: Any = None if finder is self else finder.find_spec(name, path, target)
            if spec is not None:
                wrap = Lender if name == READER_FOR_LINUX else Remover
                spec.loader = wrap(spec.loader)
                return spec
        return None


class Remover:
    """Loads a module by another loader, then removes what the module lacks on FreeBSD."""

    def __init__(self, loader: "Any") -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> "Any":
        return getattr(self._loader, name)

    def exec_module(self, module: "ModuleType") -> None:
        """Run the module."""
        self._loader.exec_module(module)
        remove(module)


class Lender(Remover):
    """Loads psutil for Linux by another loader; socket has AF_PACKET meanwhile."""

    def exec_module(self, module: "ModuleType") -> None:
        """Run the module."""
        import socket

        vars(socket)["AF_PACKET"] = _AF_PACKET
        try:
            self._loader.exec_module(module)
        finally:
            del vars(socket)["AF_PACKET"]
