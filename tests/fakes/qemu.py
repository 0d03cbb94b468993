# SPDX-License-Identifier: Apache-2.0
"""A simulated QEMU: a program with the options of QEMU that does not boot a guest.

The program copies the file ``console`` to the console of the guest, answers on the monitor, and
sends the banner of sshd on the forwarded port. The file ``behaviour.json`` configures the program.
"""

import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

FREEBSD = (
    b"Consoles: serial port\r\n"
    b"FreeBSD/x86 bootstrap loader, Revision 1.1\r\n"
    b"---<<BOOT>>---\r\n"
    b"Copyright (c) 1992-2026 The FreeBSD Project.\r\n"
    b"Setting hostuuid: 4c4c4544-0042.\r\n"
    b"Starting sshd.\r\n"
    b"\r\nFreeBSD/amd64 (guest) (ttyu0)\r\n\r\nlogin: "
)
"""The output on the console of a guest that boots."""

LATE_CLOCK = """\
#!/bin/sh
echo $(($(date +%s) - 3600))
read -r now
touch "$0.set"
echo "$now"
"""
"""A program that replaces ssh; the guest's clock is one hour late, and can be set."""

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHhIMnJ0Z2w1b0JwV3h5dGZyYnJvd25mb3hqdW1w"

# The path of Python may contain a space, which a "#!" line cannot: a shell carries out the first
# lines, and Python reads them as a string.
_QEMU = """\
#!/bin/sh
'''exec' "{python}" "$0" "$@"
' '''
import json, os, re, signal, socket, subprocess, sys, threading
from pathlib import Path

here = Path(sys.argv[0]).resolve().parent
behaviour = json.loads((here / "behaviour.json").read_text())
words = " ".join(sys.argv[1:])
(here / "arguments").write_text(words)
if behaviour["message"]:
    sys.stderr.write(behaviour["message"] + "\\n")
    sys.exit(1)
port = int(re.search(r"hostfwd=tcp:127.0.0.1:(\\d+)-:22", words)[1])
console_fd, monitor_fd = (
    int(re.search(rf"socket,id={{name}},fd=(\\d+)", words)[1]) for name in ("console", "monitor")
)
sshd = socket.socket()
sshd.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
try:
    sshd.bind(("127.0.0.1", port))
except OSError:
    sys.stderr.write("Could not set up host forwarding rule\\n")
    sys.exit(1)
sshd.listen(5)


def serve_sshd():
    while True:
        client, _ = sshd.accept()
        if behaviour["sshd"]:
            keys = f"AuthorizedKeysFile={{Path('key.pub').absolute()}}"
            subprocess.Popen([*behaviour["sshd"], "-o", keys], stdin=client, stdout=client)
        elif behaviour["ssh"]:
            client.sendall(b"SSH-2.0-OpenSSH_9.9\\r\\n")
        client.close()


saved = []
served = threading.Event()


def serve_monitor():
    server = socket.socket(fileno=monitor_fd)
    while True:
        client, _ = server.accept()
        with client, client.makefile("rwb", buffering=0) as lines:
            send = lambda value: lines.write(json.dumps(value).encode() + b"\\n")
            send({{"QMP": {{"version": {{}}}}}})
            job = None
            for line in lines:
                request = json.loads(line)
                command, given = request["execute"], request.get("arguments", {{}})
                if command.startswith("snapshot-"):
                    send({{"event": "JOB_STATUS_CHANGE", "data": {{"status": "running"}}}})
                    job = {{"id": given["job-id"], "status": "running"}}
                    send({{"return": {{}}}})
                    if command == "snapshot-save":
                        saved.append(given["tag"])
                    if command == "snapshot-delete":
                        saved.remove(given["tag"])
                    job = {{**job, "status": "concluded"}}
                    if behaviour["job_error"]:
                        job["error"] = behaviour["job_error"]
                    send({{"event": "JOB_STATUS_CHANGE", "data": {{"status": "concluded"}}}})
                elif command == "query-jobs":
                    send({{"return": [job]}})
                elif command == "query-named-block-nodes":
                    image = {{"snapshots": [{{"name": each}} for each in saved]}}
                    send({{"return": [{{"node-name": "disk", "image": image}}]}})
                elif command == "refused":
                    send({{"error": {{"class": "GenericError", "desc": "no such command"}}}})
                else:
                    send({{"return": {{}}}})
        served.set()


for target in (serve_sshd, serve_monitor):
    threading.Thread(target=target, daemon=True).start()
server = socket.socket(fileno=console_fd)
client, _ = server.accept()
text = (here / "console").read_bytes()
Path("console.log").write_bytes(text)
client.sendall(text)
if behaviour["end"]:
    served.wait()
    os._exit(1)
signal.pause()
"""


@dataclass(frozen=True)
class SimulatedQemu:
    """The simulated programs, in the directory ``bin``."""

    bin: Path

    @classmethod
    def make(cls, folder: Path) -> "SimulatedQemu":
        """Write the programs into a new directory, with links to the real ssh and ssh-keygen."""
        folder.mkdir()
        made = cls(folder)
        for name in ("qemu-system-x86_64", "qemu-system-aarch64"):
            made.write(name, _QEMU.format(python=sys.executable))
        made.write("qemu-img", '#!/bin/sh\nfor last; do :; done\n: >"$last"\n')
        made.write("ssh-keyscan", f"#!/bin/sh\necho '127.0.0.1 {HOST_KEY}'\n")
        for name in ("ssh", "ssh-keygen"):
            found = shutil.which(name)
            if found is not None:
                (folder / name).symlink_to(found)
        made.behave()
        return made

    @classmethod
    def on_path(cls, folder: Path, patch: pytest.MonkeyPatch) -> "SimulatedQemu":
        """Write the programs into a new directory, and put this directory first on the PATH."""
        made = cls.make(folder)
        patch.setenv("PATH", f"{made.bin}:{os.environ['PATH']}")
        return made

    def accept_logins(self) -> None:
        """Simulate ssh: each login succeeds. ``ssh -G`` is the real one."""
        ssh = (self.bin / "ssh").resolve()
        self.write("ssh", f'#!/bin/sh\ntest "$1" != -G || exec {ssh} "$@"\n')

    def write(self, name: str, text: str) -> None:
        """Write a program, or replace a program or a link."""
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def behave(self, console: bytes = FREEBSD, **changes: Any) -> None:
        """Set the behaviour of the next QEMU.

        ``message``: QEMU prints this text and ends; ``end``: whether QEMU ends after the output on
        the console; ``ssh``: whether sshd answers; ``job_error``: the error of each snapshot;
        ``sshd``: the command of a real sshd, which is started for each connection and accepts the
        key of the guest.
        """
        behaviour: Mapping[str, Any] = {
            "message": "",
            "end": False,
            "ssh": True,
            "job_error": "",
            "sshd": [],
        }
        (self.bin / "console").write_bytes(console)
        (self.bin / "behaviour.json").write_text(json.dumps({**behaviour, **changes}))

    @property
    def arguments(self) -> str:
        """The arguments of the QEMU that was started last."""
        return (self.bin / "arguments").read_text()
