# SPDX-License-Identifier: Apache-2.0
"""The client of an embedded cloud: starts, controls and ends it, and removes a killed cloud."""

import contextlib
import json
import os
import signal
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import Any, Self

import psutil

from bsdgate.harness import files, folders, guard, process
from bsdgate.harness.cloud.lifetime import StarterEnd
from bsdgate.harness.cloud.service import SERVICES
from bsdgate.harness.cloud.spec import DEFAULT_LIMITS, CloudName, CloudSpec, Limits
from bsdgate.harness.cloud.unit import SupervisorEvent
from bsdgate.harness.errors import InfrastructureError, UsageError

CLAIM_SECONDS = 30.0
"""The number of seconds in which another process must have made or removed a cloud's directory.

Beside the limit for the end of the cloud's processes.
"""
SOCKET_PATH_MAX = 100
"""The maximum number of bytes of a socket's path: 104 on FreeBSD, with the final nul."""
SHORT_PLACES = ("/tmp", "/var/tmp")  # noqa: S108 - a directory with a random name is made
"""The directories for a link to a long path if TMPDIR is long as well."""

_ENDED_BY_OTHERS = (0, -signal.SIGTERM, -signal.SIGKILL)
"""The exit statuses of a supervisor that another process has ended."""

ServiceOptions = Mapping[str, Mapping[str, Mapping[str, object]]]


def _ignore(event: SupervisorEvent) -> None:
    del event


class Cloud:
    """An embedded cloud, by its directory."""

    def __init__(self, directory: Path, limits: Limits | None = None) -> None:
        """Use the cloud in ``directory``; the default ``limits`` are in the cloud's description."""
        self.directory = directory
        self.limits = limits or _recorded_limits(directory)
        self._running: process.Running | None = None
        self._starter: StarterEnd | None = None

    @classmethod
    def start(
        cls,
        directory: Path,
        *,
        name: CloudName,
        python: Path,
        templates: Path,
        services: Collection[str] = SERVICES,
        ports: Mapping[str, int] | None = None,
        options: ServiceOptions | None = None,
        nodes: Sequence[Mapping[str, Any]] = (),
        limits: Limits = DEFAULT_LIMITS,
        on_event: Callable[[SupervisorEvent], None] = _ignore,
    ) -> Self:
        """Start a cloud and return when it is ready.

        :param python: the interpreter of the environment with the services.
        :param templates: the directory of the templates, shared by all clouds.
        :param services: the services to start, in any order.
        :param ports: ports by service; other services get a free port.
        :param options: options of oslo.config that override ours, by service, section and name.
        :param nodes: nodes to enroll in Ironic, in the form of ``profiles.boards.nodes``.
        :param limits: the time limits in seconds for the start and for the end.
        :param on_event: receives each event of the supervisor.
        :raises UsageError: the directory has a running cloud, or was not made by bsdgate.
        :raises InfrastructureError: a service failed; the message has its last log lines.
        """
        cloud = cls(directory, limits)
        with files.explain_errors(directory):
            folders.make(templates)
            lock = cloud._claim()
        argv: list[str | Path] = [python, "-m", "bsdgate.harness.cloud.supervisor"]
        argv += ["--name", name, "--directory", directory, "--templates", templates]
        for service in SERVICES:
            argv += ["--service", service] if service in services else []
        for service, port in (ports or {}).items():
            argv += ["--port", f"{service}={port}"]
        argv += ["--options", json.dumps(options or {}), "--nodes", json.dumps(list(nodes))]
        argv += ["--start-limit", str(limits.start), "--stop-limit", str(limits.stop)]
        running = cloud._launch(argv, lock)
        try:
            cloud._await_ready(running, on_event)
        except BaseException:
            cloud.stop()
            raise
        return cloud

    def _claim(self) -> int:
        """Make a new directory, and return the descriptor of its lock.

        The directory is always locked: first by this process, then by the supervisor, which
        inherits the lock.
        """
        folders.make(self.directory.parent)
        with self._alone():
            self._remove()
            folders.make_marked(self.directory)
            for folder in ("logs", "tmp"):
                folders.make(self.directory / folder)
            lock = files.take_lock(self._lock)
        assert lock is not None
        return lock

    def _launch(self, argv: Sequence[str | Path], lock: int) -> process.Running:
        """Start the supervisor, which inherits the lock and one end of a pipe."""
        starter = StarterEnd()
        try:
            running = process.start(
                [*argv, "--lock", str(lock), "--starter", str(starter.other)],
                log=self.directory / "logs" / "supervisor.log",
                cwd=self.directory,
                # Neutron leaves files in TMPDIR, with process ids that other processes may get.
                env=process.environment(TMPDIR=str(self.directory / "tmp")),
                stdout=process.PIPE,
                pass_fds=(lock, starter.other),
            )
        finally:
            starter.give()
            os.close(lock)
        self._running, self._starter = running, starter
        return running

    def _await_ready(
        self, running: process.Running, on_event: Callable[[SupervisorEvent], None]
    ) -> None:
        for event in _events(running, self.limits.start):
            on_event(event)
            if event["event"] == "ready":
                return
            if event["event"] == "failed":
                raise self._failure(event)
        if running.wait(self.limits.stop) in _ENDED_BY_OTHERS:
            raise self._gone()
        raise running.failure("ended before the cloud was ready")

    def _gone(self) -> InfrastructureError:
        return InfrastructureError(
            f"another process has ended the cloud in {self.directory}",
            "`bsdgate down` may have done this; start the cloud again",
        )

    def _failure(self, event: SupervisorEvent) -> InfrastructureError:
        lines = "\n".join(f"    {line}" for line in event.get("lines", ()))
        where = f"{event['service']} " if "service" in event else ""
        hint = f"the log is {event['log']}" if "log" in event else event.get("hint")
        return InfrastructureError(f"{where}{event['message']}\n{lines}".rstrip(), hint)

    @property
    def spec(self) -> CloudSpec:
        """The description of the cloud, with its ports and passwords.

        :raises InfrastructureError: there is no description, or it is damaged.
        """
        try:
            return CloudSpec.load(self.directory)
        except FileNotFoundError as error:
            raise self._gone() from error
        except (ValueError, TypeError) as error:
            raise InfrastructureError(
                f"{self.directory / 'spec.json'} is damaged: {error}",
                "end the cloud with `bsdgate down`",
            ) from error

    def alive(self) -> bool:
        """Return whether the cloud's supervisor runs."""
        return files.is_locked(self._lock)

    def status(self) -> dict[str, Any]:
        """Return the last status that the supervisor wrote, with the present state.

        ``state`` is ready, degraded (a service died), starting, resetting, down, or killed.
        """
        status = {"state": "starting", "services": {}} | self._last_status()
        if not self.alive():
            status["state"] = "down" if status["state"] == "down" else "killed"
        return status

    def _last_status(self) -> dict[str, Any]:
        """Return the content of status.json; empty if it is absent or damaged."""
        try:
            status = json.loads((self.directory / "status.json").read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        return status if isinstance(status, dict) else {}

    def reset(self) -> None:
        """Restore the initial state of the cloud."""
        self._request({"order": "reset"})

    def restart(self, service: str) -> None:
        """Stop and start one service, without a change of its data."""
        if not self.spec.has(service):
            known = ", ".join(self.spec.ports)
            raise UsageError(f"the cloud has no service {service!r}", f"choose one of {known}")
        self._request({"order": "restart", "service": service})

    def _request(self, request: dict[str, str]) -> None:
        if not self.alive():
            raise UsageError(f"no cloud is up in {self.directory}", "start one with `bsdgate up`")
        with _connected(self.directory / "control") as connection:
            connection.send_bytes(json.dumps(request).encode())
            if not connection.poll(self.limits.start):
                raise self._no_answer(f"did not {request['order']} within {self.limits.start:g} s")
            try:
                answer = json.loads(connection.recv_bytes())
            except (EOFError, ConnectionError) as error:
                raise self._no_answer(
                    f"ended before the {request['order']} was complete"
                ) from error
        if answer["event"] == "failed":
            raise self._failure(answer)

    def _no_answer(self, what: str) -> InfrastructureError:
        return InfrastructureError(
            f"the cloud {what}", f"see {self.directory / 'logs'}; `bsdgate down` removes the cloud"
        )

    def detach(self) -> None:
        """Let the cloud outlive this process.

        :raises InfrastructureError: the cloud has ended meanwhile.
        """
        if self._running and self._starter:
            try:
                self._starter.detach()
            except BrokenPipeError as error:
                raise self._gone() from error
            self._running.detach()
            self._running = self._starter = None

    def stop(self) -> list[str]:
        """End the cloud, also during its start; its logs and data stay.

        If this process started the cloud, return the processes that outlived it and were killed.

        :raises InfrastructureError: the cloud does not end, or its processes are unknown.
        """
        left: list[str] = []
        if self._running and self._starter:
            self._running.terminate(self.limits.stop)
            left = self._running.left
            self._starter.close()
            self._running = self._starter = None
        elif self.alive():
            self._end()
        return left

    def _end(self) -> None:
        # At first the lock of a new cloud contains the id of the process that starts it.
        limit = self.limits.stop
        _until(lambda: bool(self._remains()) or not self.alive(), limit)
        if supervisor := self._supervisor():
            with contextlib.suppress(psutil.NoSuchProcess):
                supervisor.terminate()
                try:
                    supervisor.wait(limit)
                except psutil.TimeoutExpired:
                    guard.signal_group(supervisor.pid, signal.SIGKILL)
        else:
            # The supervisor has ended, and a process that it had forked holds the inherited lock.
            self._kill_remains()
        if not _until(lambda: not self.alive(), limit):
            raise InfrastructureError(
                f"the cloud in {self.directory} does not end: {self._lock} is still locked, with"
                f" process id {files.holder(self._lock) or 'unknown'}",
                f"end the processes with the working directory {self.directory}, then try again",
            )

    def _kill_remains(self) -> None:
        for remaining in self._remains():
            with contextlib.suppress(psutil.NoSuchProcess):
                remaining.kill()

    def clean(self) -> None:
        """Remove the files of a cloud that has ended or was killed.

        :raises UsageError: the cloud is up, or bsdgate has not made the directory.
        """
        if self.directory.parent.is_dir():
            with files.explain_errors(self.directory), self._alone():
                self._remove()

    def _alone(self) -> contextlib.AbstractContextManager[None]:
        """Exclude other processes that make or remove a cloud with this name."""
        beside = self.directory.with_name(f".{self.directory.name}.lock")
        return files.exclusive(beside, CLAIM_SECONDS + self.limits.stop)

    def _remove(self) -> None:
        if self.alive():
            raise self._is_up()
        # The processes of a killed supervisor detect its end, and then end themselves.
        psutil.wait_procs(self._remains(), self.limits.stop)
        self._kill_remains()
        folders.remove_tree(self.directory, inside=self.directory.parent)

    def _is_up(self) -> UsageError:
        name, pid = self.directory.name, files.holder(self._lock) or "unknown"
        if self.status()["state"] == "starting":
            what = f"a cloud named {name} is being started by process {pid}"
        else:
            what = f"a cloud named {name} is up already"
        return UsageError(
            f"{what}, in {self.directory}",
            "end it with `bsdgate down`, or give the new one another name (--name)",
        )

    @property
    def _lock(self) -> Path:
        return self.directory / "lock"

    def _supervisor(self) -> psutil.Process | None:
        """Return the supervisor, if a process with a recorded id belongs to this cloud."""
        for pid in self._named():
            with contextlib.suppress(psutil.Error, OSError):
                supervisor = psutil.Process(pid)
                if self._belongs(supervisor, pid):
                    return supervisor
        return None

    def _remains(self) -> list[psutil.Process]:
        """Return the processes in the supervisor's group with the cloud's working directory."""
        groups = self._named()
        remains = []
        for each in psutil.process_iter() if groups else ():
            with contextlib.suppress(psutil.Error, OSError):
                if any(self._belongs(each, group) for group in groups):
                    remains.append(each)
        return remains

    def _named(self) -> set[int]:
        """Return the process ids of the supervisor in the lock file and in status.json."""
        named = {files.holder(self._lock), self._last_status().get("pid")}
        return {pid for pid in named if isinstance(pid, int) and 0 < pid <= files.PID_MAX}

    def _belongs(self, each: psutil.Process, group: int) -> bool:
        # The system returns a path without symbolic links; on FreeBSD /home is a link.
        return os.getpgid(each.pid) == group and Path(each.cwd()) == self.directory.resolve()

    def clouds_yaml_entry(self) -> dict[str, Any]:
        """Return the cloud's entry for clouds.yaml."""
        return self.spec.client_entry()


def _recorded_limits(directory: Path) -> Limits:
    """Return the limits of the cloud in ``directory``; the defaults if they cannot be read."""
    try:
        return CloudSpec.load(directory).limits
    except (OSError, ValueError, TypeError, AttributeError):
        return DEFAULT_LIMITS


def _until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait for a condition, at most ``seconds``; return whether it is true."""
    deadline = time.monotonic() + seconds
    # There is no event for a lock that is free.
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def _events(running: process.Running, timeout: float) -> Iterator[SupervisorEvent]:
    """Yield the supervisor's events until its output ends."""
    rest, deadline = b"", time.monotonic() + timeout
    while True:
        chunk = running.read(max(0.0, deadline - time.monotonic()))
        if chunk is None:
            raise running.failure(f"did not start the cloud within {timeout:g} s")
        if not chunk:
            return
        *lines, rest = (rest + chunk).split(b"\n")
        yield from map(json.loads, lines)


def _short_folder(rest: int) -> "tempfile.TemporaryDirectory[str]":
    """Make a directory with a path that is short enough for a socket, even if TMPDIR is long."""
    room = SOCKET_PATH_MAX - len("/bsdgate-XXXXXXXX/cloud/") - rest
    places = (tempfile.gettempdir(), *SHORT_PLACES)
    short = next(place for place in places if len(os.fsencode(place)) <= room)
    return tempfile.TemporaryDirectory(prefix="bsdgate-", dir=short)


@contextlib.contextmanager
def _connected(address: Path) -> Iterator[Connection]:
    """Connect to a socket, even if its path is longer than the system allows."""
    with contextlib.ExitStack() as stack:
        if len(os.fsencode(address)) > SOCKET_PATH_MAX:
            short = Path(stack.enter_context(_short_folder(len(address.name))))
            (short / "cloud").symlink_to(address.parent)
            address = short / "cloud" / address.name
        yield stack.enter_context(Client(str(address), "AF_UNIX"))
