# SPDX-License-Identifier: Apache-2.0
"""A cloud from outside: start it, ask it, stop it, and clean up after one that was killed."""

import contextlib
import fcntl
import json
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import Any, Self

import psutil

from bsdgate.harness import files, folders, process
from bsdgate.harness.cloud.service import SERVICES
from bsdgate.harness.cloud.spec import ADMIN, REGION, CloudName, CloudSpec
from bsdgate.harness.errors import InfrastructureError, UsageError

BOOT_TIMEOUT = 180.0
STOP_TIMEOUT = 10.0
SOCKET_PATH_MAX = 100
"""Bytes that a socket's path may have everywhere: 104 on FreeBSD, with the closing nul."""

Event = dict[str, Any]
Options = Mapping[str, Mapping[str, Mapping[str, object]]]


def _ignore(event: Event) -> None:
    del event


class Cloud:
    """An embedded cloud, by its directory."""

    def __init__(self, directory: Path, running: process.Running | None = None) -> None:
        """Point at the cloud in ``directory``; ``running`` is its supervisor if it is our child."""
        self.directory = directory
        self._running = running

    @classmethod
    def start(
        cls,
        directory: Path,
        *,
        name: CloudName,
        python: Path,
        templates: Path,
        ports: Mapping[str, int] | None = None,
        options: Options | None = None,
        timeout: float = BOOT_TIMEOUT,
        on_event: Callable[[Event], None] = _ignore,
    ) -> Self:
        """Start a cloud and return when it is ready.

        :param python: the interpreter in whose environment the services are installed.
        :param templates: folder of the templates, shared by all clouds.
        :param ports: port by service; those not named get one that is free.
        :param options: options of oslo.config over ours: by service, section, name.
        :param timeout: seconds until it must be ready.
        :param on_event: told of each event of the supervisor.
        :raises UsageError: one is up there already, or something that bsdgate has not made is.
        :raises InfrastructureError: a service failed; its last log lines are in the message.
        """
        cloud = cls(directory)
        with files.explained(directory):
            folders.make(templates)
            cloud.clean()
            folders.make_marked(directory)
            for folder in ("logs", "tmp"):
                folders.make(directory / folder)
        argv: list[str | Path] = [python, "-m", "bsdgate.harness.cloud.supervisor"]
        argv += ["--name", name, "--directory", directory, "--templates", templates]
        for service, port in (ports or {}).items():
            argv += ["--port", f"{service}={port}"]
        argv += ["--options", json.dumps(options or {})]
        running = process.start(
            argv,
            log=directory / "logs" / "supervisor.log",
            cwd=directory,
            # Neutron leaves files there, named by process id, that later ones would believe.
            env=process.environment(TMPDIR=str(directory / "tmp")),
            stdout=process.PIPE,
        )
        cloud._running = running
        try:
            cloud._await_ready(running, timeout, on_event)
        except BaseException:
            cloud.stop()
            raise
        return cloud

    def _await_ready(
        self, running: process.Running, timeout: float, on_event: Callable[[Event], None]
    ) -> None:
        for event in _events(running, timeout):
            on_event(event)
            if event["event"] == "ready":
                return
            if event["event"] == "failed":
                raise self._failure(event)
        raise running.failure("ended before the cloud was ready")

    def _failure(self, event: Event) -> InfrastructureError:
        lines = "\n".join(f"    {line}" for line in event.get("lines", ()))
        where = f"{event['service']} " if "service" in event else ""
        hint = f"its log is {event['log']}" if "log" in event else event.get("hint")
        return InfrastructureError(f"{where}{event['message']}\n{lines}".rstrip(), hint)

    @property
    def spec(self) -> CloudSpec:
        """What the cloud is: its ports and passwords."""
        return CloudSpec.load(self.directory)

    def alive(self) -> bool:
        """Whether the cloud's supervisor lives."""
        try:
            lock = os.open(self.directory / "lock", os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False

    def status(self) -> Event:
        """Return what the supervisor says of itself and of the services.

        ``state`` is ready, degraded (a service died), starting, resetting, down, or killed.
        """
        try:
            status: Event = json.loads((self.directory / "status.json").read_text())
        except FileNotFoundError:
            status = {"state": "starting", "services": {}}
        if not self.alive():
            status["state"] = "down" if status["state"] == "down" else "killed"
        return status

    def reset(self) -> None:
        """Put the cloud back to how it was when it first became ready."""
        self._order({"order": "reset"})

    def restart(self, service: str) -> None:
        """Stop and start one service, its data kept."""
        if service not in SERVICES:
            raise UsageError(f"no service {service!r}", f"choose one of {', '.join(SERVICES)}")
        self._order({"order": "restart", "service": service})

    def _order(self, order: Event) -> None:
        if not self.alive():
            raise UsageError(f"no cloud is up in {self.directory}", "start one with `bsdgate up`")
        with _connected(self.directory / "control") as connection:
            connection.send_bytes(json.dumps(order).encode())
            if not connection.poll(BOOT_TIMEOUT):
                raise self._silence(f"did not {order['order']} within {BOOT_TIMEOUT:g} s")
            try:
                answer = json.loads(connection.recv_bytes())
            except (EOFError, ConnectionError) as error:
                raise self._silence(f"ended instead of its {order['order']}") from error
        if answer["event"] == "failed":
            raise self._failure(answer)

    def _silence(self, what: str) -> InfrastructureError:
        return InfrastructureError(
            f"the cloud {what}", f"see {self.directory / 'logs'}; `bsdgate down` cleans up"
        )

    def detach(self) -> None:
        """Let the cloud outlive this process."""
        if self._running:
            self._running.detach()
            self._running = None

    def stop(self) -> None:
        """End the cloud, however far it has come; its logs and data stay."""
        if self._running:
            self._running.terminate(STOP_TIMEOUT)
            self._running = None
        elif self.alive():
            self._end(int((self.directory / "lock").read_text()))

    def _end(self, pid: int) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            supervisor = psutil.Process(pid)
            supervisor.terminate()
            try:
                supervisor.wait(STOP_TIMEOUT)
            except psutil.TimeoutExpired:
                os.killpg(pid, signal.SIGKILL)

    def clean(self) -> None:
        """Remove what a cloud that is down or was killed has left.

        :raises UsageError: it is up.
        """
        if self.alive():
            raise UsageError(
                f"a cloud is up in {self.directory} already",
                "end it with `bsdgate down`, or give the new one another name (--name)",
            )
        # A killed supervisor's processes end as soon as they see it gone.
        psutil.wait_procs(self._remains(), STOP_TIMEOUT)
        for remaining in self._remains():
            with contextlib.suppress(psutil.NoSuchProcess):
                remaining.kill()
        with files.explained(self.directory):
            folders.remove_tree(self.directory, inside=self.directory.parent)

    def _remains(self) -> list[psutil.Process]:
        """Return the processes of a supervisor that is gone: of its group, and at home here."""
        try:
            group = int((self.directory / "lock").read_text())
        except (FileNotFoundError, ValueError):
            return []
        remains = []
        for each in psutil.process_iter():
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                # What the system tells has no symbolic link in it, as /home is one on FreeBSD.
                if os.getpgid(each.pid) == group and Path(each.cwd()) == self.directory.resolve():
                    remains.append(each)
        return remains

    def clouds_yaml_entry(self) -> Event:
        """Return the cloud's entry for clouds.yaml."""
        spec = self.spec
        return {
            "auth": {
                "auth_url": f"{spec.url('keystone')}/v3",
                "username": ADMIN,
                "password": spec.passwords[ADMIN],
                "project_name": ADMIN,
                "user_domain_id": "default",
                "project_domain_id": "default",
            },
            "region_name": REGION,
        }


def _events(running: process.Running, timeout: float) -> Iterator[Event]:
    """Yield the supervisor's events until its output ends."""
    rest, deadline = b"", time.monotonic() + timeout
    while True:
        chunk = running.read(max(0.0, deadline - time.monotonic()))
        if chunk is None:
            raise running.failure(f"did not bring the cloud up within {timeout:g} s")
        if not chunk:
            return
        *lines, rest = (rest + chunk).split(b"\n")
        yield from map(json.loads, lines)


@contextlib.contextmanager
def _connected(address: Path) -> Iterator[Connection]:
    """Connect to a socket, whose path may be longer than one may be."""
    with contextlib.ExitStack() as stack:
        if len(os.fsencode(address)) > SOCKET_PATH_MAX:
            short = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bsdgate-")))
            (short / "cloud").symlink_to(address.parent)
            address = short / "cloud" / address.name
        yield stack.enter_context(Client(str(address), "AF_UNIX"))
