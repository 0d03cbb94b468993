# SPDX-License-Identifier: Apache-2.0
"""A simulated bhyve and bhyvectl: programs with their command line that boot no guest.

bhyve copies the file ``console`` to its output, which is the console of the guest, writes its input
in upper case to its output, and sends the banner of sshd on the forwarded port. It does not end on
SIGTERM, as a guest that does not power off.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fakes.qemu import SimulatedQemu

_BHYVE = """\
#!/bin/sh
'''exec' "{python}" "$0" "$@"
' '''
import json, os, re, signal, socket, sys, threading
from pathlib import Path

here = Path(sys.argv[0]).resolve().parent
signal.signal(signal.SIGTERM, signal.SIG_IGN)
device = here / "vmm" / sys.argv[-1]
device.touch(exist_ok=False)
with (here / "bhyve-runs").open("a") as runs:
    runs.write(json.dumps(sys.argv[1:]) + "\\n")
run = len((here / "bhyve-runs").read_text().splitlines())
ends = json.loads((here / "ends.json").read_text())
port = int(re.search(r"hostfwd=tcp:127.0.0.1:(\\d+)-:22", " ".join(sys.argv))[1])
sshd = socket.socket()
sshd.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
sshd.bind(("127.0.0.1", port))
sshd.listen(5)


def serve_sshd():
    while True:
        client, _ = sshd.accept()
        client.sendall(b"SSH-2.0-OpenSSH_9.9\\r\\n")
        client.close()


os.write(1, (here / "console").read_bytes())
if run <= len(ends):
    sys.stderr.write(f"run {{run}} ends\\n")
    sys.exit(ends[run - 1])
threading.Thread(target=serve_sshd, daemon=True).start()
while typed := os.read(0, 100):
    os.write(1, typed.upper())
signal.pause()
"""
_BHYVECTL = """\
#!/bin/sh
here=$(dirname "$0")
test "$2" = --destroy && rm "$here/vmm/${1#--vm=}" && echo "${1#--vm=}" >>"$here/destroyed"
"""


@dataclass(frozen=True)
class SimulatedBhyve:
    """The simulated programs, in the directory of a simulated QEMU."""

    bin: Path

    @classmethod
    def beside(cls, qemu: SimulatedQemu) -> "SimulatedBhyve":
        """Write the programs, and make the directory for the devices of virtual machines."""
        made = cls(qemu.bin)
        made.machines.mkdir()
        qemu.write("bhyve", _BHYVE.format(python=sys.executable))
        qemu.write("bhyvectl", _BHYVECTL)
        made.end()
        return made

    @property
    def machines(self) -> Path:
        """The directory that replaces /dev/vmm."""
        return self.bin / "vmm"

    def end(self, *statuses: int) -> None:
        """Let the first runs of bhyve end with these exit statuses, after the console's output."""
        (self.bin / "ends.json").write_text(json.dumps(statuses))

    @property
    def runs(self) -> Sequence[Sequence[str]]:
        """The arguments of each run of bhyve."""
        return [json.loads(line) for line in (self.bin / "bhyve-runs").read_text().splitlines()]

    @property
    def destroyed(self) -> Sequence[str]:
        """The names of the virtual machines that bhyvectl has destroyed."""
        return (self.bin / "destroyed").read_text().split()
