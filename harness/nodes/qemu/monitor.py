# SPDX-License-Identifier: Apache-2.0
"""The control protocol of QEMU (QMP): lines of JSON on the monitor socket of a guest."""

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bsdgate.harness.errors import InfrastructureError
from bsdgate.harness.nodes.qemu import sockets
from bsdgate.harness.nodes.qemu.machine import DISK_NODE

ANSWER_SECONDS: Final = 30.0
"""The time limit of an answer, on a machine of usual speed."""
SNAPSHOT_SECONDS: Final = 300.0
"""The time limit to save, restore or delete a snapshot, on a machine of usual speed."""

_JOB: Final = "bsdgate"
_JOB_ENDED: Final = "concluded"


class Monitor:
    """A connection to the monitor of a guest. ``factor`` multiplies the time limits."""

    def __init__(self, connected: socket.socket, factor: float = 1.0) -> None:
        """Use a connected socket. Call ``negotiate`` before the first command."""
        self._socket = connected
        self._factor = factor
        self._unread = b""

    def negotiate(self) -> None:
        """Read the greeting of QEMU, and enable the commands."""
        self._read(self._deadline(ANSWER_SECONDS))
        self.execute("qmp_capabilities")

    def execute(self, command: str, **arguments: Any) -> Any:
        """Execute a command, and return its result.

        :raises InfrastructureError: QEMU reports an error, or does not answer.
        """
        request = {"execute": command, "arguments": arguments}
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise self._lost(error) from error
        deadline = self._deadline(ANSWER_SECONDS)
        while True:
            answer = self._read(deadline)
            if "error" in answer:
                raise InfrastructureError(
                    f"QEMU did not execute {command}: {answer['error']['desc']}",
                    "see the log of QEMU in the directory of the guest",
                )
            if "return" in answer:
                return answer["return"]

    def save(self, snapshot: str) -> None:
        """Save the memory and the disk of the guest as a snapshot in its disk image."""
        self._run_job("snapshot-save", snapshot, vmstate=DISK_NODE)

    def restore(self, snapshot: str) -> None:
        """Restore a snapshot; the guest then runs."""
        self._run_job("snapshot-load", snapshot, vmstate=DISK_NODE)

    def delete(self, snapshot: str) -> None:
        """Delete a snapshot."""
        self._run_job("snapshot-delete", snapshot)

    def snapshots(self) -> list[str]:
        """Return the names of the snapshots."""
        nodes: list[dict[str, Any]] = self.execute("query-named-block-nodes", flat=True)
        images = [node["image"] for node in nodes if node.get("node-name") == DISK_NODE]
        return [each["name"] for image in images for each in image.get("snapshots", [])]

    def _run_job(self, command: str, snapshot: str, **arguments: str) -> None:
        given = {"job-id": _JOB, "tag": snapshot, "devices": [DISK_NODE], **arguments}
        self.execute(command, **given)
        deadline = self._deadline(SNAPSHOT_SECONDS)
        while (job := self._job())["status"] != _JOB_ENDED:
            # QEMU sends an event at each change of the job.
            self._read(deadline)
        self.execute("job-dismiss", id=_JOB)
        if "error" in job:
            raise InfrastructureError(
                f"QEMU did not complete {command} {snapshot!r}: {job['error']}",
                "check the free space of the disk, and the snapshots with `bsdgate node list`",
            )

    def _job(self) -> dict[str, Any]:
        jobs: list[dict[str, Any]] = self.execute("query-jobs")
        return next(job for job in jobs if job["id"] == _JOB)

    def _deadline(self, seconds: float) -> float:
        return time.monotonic() + seconds * self._factor

    def _read(self, deadline: float) -> dict[str, Any]:
        while b"\n" not in self._unread:
            try:
                self._socket.settimeout(max(0.01, deadline - time.monotonic()))
                chunk = self._socket.recv(1 << 16)
            except OSError as error:
                raise self._lost(error) from error
            if not chunk:
                raise self._lost(None)
            self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        return found

    def _lost(self, error: OSError | None) -> InfrastructureError:
        reason = f": {error.strerror or error}" if error else ": QEMU has ended"
        return InfrastructureError(
            f"QEMU does not answer on its monitor{reason}",
            "check with `bsdgate node list` that the guest runs",
        )


@contextlib.contextmanager
def connected(path: Path, factor: float = 1.0) -> Iterator[Monitor]:
    """Yield a connection to the monitor of a guest; ``path`` is the path of its socket."""
    with sockets.connect(path, ANSWER_SECONDS * factor) as made:
        monitor = Monitor(made, factor)
        monitor.negotiate()
        yield monitor
