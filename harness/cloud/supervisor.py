# SPDX-License-Identifier: Apache-2.0
"""The supervisor of a cloud: it forks and monitors the service processes.

It has no threads, so that it can fork at any time. It writes events as JSON
lines to its standard output until the cloud is ready, and its status to
``status.json``; it receives requests on the socket ``control``.
"""

import argparse
import contextlib
import io
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bsdgate.harness import files
from bsdgate.harness.cloud import ports, readiness, seed, service, templates, worker
from bsdgate.harness.cloud.lifetime import SupervisorEnd
from bsdgate.harness.cloud.spec import CloudSpec, Limits, write_private
from bsdgate.harness.cloud.unit import (
    FAILURES,
    ServiceFailed,
    SupervisorEvent,
    Unit,
    describe_failure,
)


class Supervisor:
    """A cloud's process tree."""

    def __init__(
        self,
        spec: CloudSpec,
        store: templates.TemplateStore,
        starter: SupervisorEnd,
        report: Callable[[SupervisorEvent], None],
    ) -> None:
        """Use a description, a store of templates, a starter, and a receiver of events."""
        self._spec = spec
        self._starter = starter
        self._store = store
        self._report = report
        self._listeners: Mapping[str, socket.socket] = {}
        self._lock: io.FileIO | None = None
        self._units: dict[str, Unit] = {}
        self._state = "starting"
        self._began = time.monotonic()

    # Boot ------------------------------------------------------------------

    def boot(self, listeners: Mapping[str, socket.socket], lock: io.FileIO) -> None:
        """Start the cloud, and wait until it is ready."""
        self._listeners, self._lock = listeners, lock
        worker.private.hold(lock, *listeners.values(), *self._starter.ends)
        worker.import_shared()
        for name in listeners:
            self._units[name] = self._fork_parent(name)
        if not self._from_template():
            self._build()
        self.start_all()

    def start_all(self) -> None:
        """Start all services on the present data, and check that each answers."""
        self.start(self._units)
        self._task("readiness", lambda: readiness.check(self._spec))
        self._become("ready")

    def _fork_parent(self, name: str) -> Unit:
        ours, theirs = worker.private.pipe()
        lock = self._lock
        assert lock is not None
        pipes = [unit.pipe for unit in self._units.values()]
        listeners = [each for service, each in self._listeners.items() if service != name]

        def run() -> None:
            for end in (*pipes, ours):
                end.close()
            for other in listeners:
                other.close()
            lock.close()
            self._starter.close()
            worker.preload(name, self._spec, self._listeners[name], theirs)

        pid = worker.fork(run, self._spec.log(name))
        theirs.close()
        unit = Unit(name, ours, pid)
        self._report({"event": unit.state, "service": name, "seconds": self._seconds()})
        return unit

    def _from_template(self) -> bool:
        data = self._spec.directory / "data"
        cloud = self._spec.directory
        origin = self._store.copy(self._template, data, inside=cloud)
        if origin is None:
            return False
        for name in self._units:
            service.load(name).relocate(self._spec, origin / name)
        templates.copy_data(data, self._pristine, inside=cloud)
        return True

    def _build(self) -> None:
        """Make the databases and seed them; store both as templates for other clouds."""
        self._report({"event": "building"})
        self._make_schemas()
        if self._spec.has("keystone"):
            self.start(["keystone"])
            self._task("seed", lambda: seed.identity(self._spec))
        self.start(self._units)
        self._task("seed", lambda: seed.resources(self._spec))
        self.stop(self._units)
        data = self._spec.directory / "data"
        self._store.keep(self._template, data)
        templates.copy_data(data, self._pristine, inside=self._spec.directory)

    def _make_schemas(self) -> None:
        self._wait_until(self._units, "imported")
        missing = []
        for name in self._units:
            origin = self._store.copy(
                templates.schema_name(name), self._spec.data(name), inside=self._spec.directory
            )
            if origin is None:
                missing.append(name)
            else:
                service.load(name).relocate(self._spec, origin)
        service.make_folders(self._spec.directory / "data", missing)
        for name in missing:
            self._request(name, "create")
        self._wait_until(missing, "imported")
        for name in missing:
            self._store.keep(templates.schema_name(name), self._spec.data(name))

    @property
    def _template(self) -> str:
        return templates.cloud_name(self._units, self._spec.nodes)

    @property
    def _pristine(self) -> Path:
        return self._spec.directory / "pristine"

    # Requests to the preloaded parents -------------------------------------

    def start(self, names: Iterable[str]) -> None:
        """Start these services, each when it is imported and the services that it needs serve."""
        waiting = [name for name in names if self._units[name].state != "serving"]
        while waiting:
            for name in [each for each in waiting if self._may_start(each)]:
                self._request(name, "start")
                waiting.remove(name)
            if waiting:
                self._receive()
        self._wait_until(names, "serving")

    def _may_start(self, name: str) -> bool:
        unit = self._units[name]
        served = all(self._units[each].state == "serving" for each in unit.after)
        return unit.state in {"imported", "died"} and served

    def stop(self, names: Iterable[str]) -> None:
        """Stop these services' workers, and wait for their end; replace lost parents."""
        names = list(names)
        for name in names:
            if self._units[name].pipe.closed:
                self._units[name] = self._fork_parent(name)
            else:
                self._request(name, "stop")
        self._wait_until(names, "imported")

    def reset(self) -> None:
        """Restore the initial state of the cloud."""
        self._become("resetting")
        self.stop(self._units)
        cloud = self._spec.directory
        templates.copy_data(self._pristine, cloud / "data", inside=cloud)
        self.start_all()

    def restart(self, name: str) -> None:
        """Stop one service and start it again on its data."""
        for needed in self._units[name].after:
            if self._units[needed].state != "serving":
                what = f"needs {needed}, which does not serve: restart {needed} first"
                raise ServiceFailed(name, what, self._spec.log(needed))
        self.stop([name])
        self.start([name])
        self._become("ready")

    def _request(self, name: str, verb: str) -> None:
        unit = self._units[name]
        if verb == "start":
            unit.exit_status = None
        unit.state = {"create": "creating", "start": "starting", "stop": "stopping"}[verb]
        unit.pipe.send((verb,))

    def _wait_until(self, names: Iterable[str], state: str) -> None:
        names = list(names)
        while any(self._units[name].state != state for name in names):
            self._receive()

    def _receive(self) -> None:
        """Wait for a message of a preloaded parent, and process it; raise on a failure."""
        by_pipe = {unit.pipe: unit for unit in self._units.values() if not unit.pipe.closed}
        for pipe in self._starter.wait(by_pipe):
            self._take_in(by_pipe[pipe])  # type: ignore[index]

    def _take_in(self, unit: Unit) -> None:
        try:
            word, *details = unit.pipe.recv()
        except (EOFError, ConnectionResetError):
            self._lose_parent(unit)
            return
        if unit.state == "stopping" and word != "stopped":
            return  # it was sent before the request to stop arrived
        if word == "serving":
            unit.state, unit.pid = "serving", details[0]
        elif word in {"imported", "done", "stopped"}:
            unit.state, unit.pid = "imported", None
        elif word == "died":
            self._note_death(unit, details[0])
        else:
            unit.state = "died"
            raise ServiceFailed(unit.name, " ".join(details), self._spec.log(unit.name))
        self._report({"event": unit.state, "service": unit.name, "seconds": self._seconds()})

    def _lose_parent(self, unit: Unit) -> None:
        # The worker holds the pipe too: the end of the pipe means that both have ended.
        unit.pipe.close()
        status = os.waitstatus_to_exitcode(os.waitpid(unit.parent_pid, 0)[1])
        awaited = unit.state not in {"serving", "imported", "died"}
        self._note_death(unit, status)
        if awaited or self._state not in {"ready", "degraded"}:
            what = f"its preloaded parent ended with status {status}"
            raise ServiceFailed(unit.name, what, self._spec.log(unit.name))

    def _note_death(self, unit: Unit, status: int) -> None:
        booting = unit.state == "starting"
        unit.state, unit.pid, unit.exit_status = "died", None, status
        if booting or self._state in {"starting", "resetting"}:
            what = f"ended with status {status}"
            raise ServiceFailed(unit.name, what, self._spec.log(unit.name))
        self._become("degraded")

    def _task(self, name: str, task: Callable[[], None]) -> None:
        """Run a task in a process of its own; raise ServiceFailed with its log if it fails."""
        log = self._spec.log(name)
        ours, theirs = worker.private.pipe()
        pid = worker.fork(task, log)
        theirs.close()
        try:
            with ours:
                self._starter.wait([ours])
        except BaseException:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        if os.waitpid(pid, 0)[1]:
            raise ServiceFailed(name, "failed", log)

    # Requests of clients ---------------------------------------------------

    def serve(self, control: socket.socket) -> None:
        """Monitor the services and carry out requests, until SIGTERM."""
        while True:
            pipes = [unit.pipe for unit in self._units.values() if not unit.pipe.closed]
            ready = self._starter.wait([control, *pipes, *self._unattended()])
            for listener in self._unattended():
                if listener in ready:
                    ports.close_waiting_client(listener)
            if control in ready:
                with Connection(control.accept()[0].detach()) as caller:
                    self._answer(caller)
            elif not set(ready).isdisjoint(pipes):
                self._receive()

    def _unattended(self) -> list[socket.socket]:
        """Return the listeners of services without a preloaded parent."""
        return [self._listeners[name] for name, unit in self._units.items() if unit.pipe.closed]

    def _answer(self, caller: Connection) -> None:
        # The client may have ended before its request, or before the answer.
        with contextlib.suppress(EOFError, ConnectionError):
            request = json.loads(caller.recv_bytes())
            caller.send_bytes(json.dumps(self._carry_out(request)).encode())

    def _carry_out(self, request: dict[str, str]) -> SupervisorEvent:
        try:
            if request["order"] == "reset":
                self.reset()
            elif request["order"] == "restart":
                self.restart(request["service"])
            elif request["order"] != "status":
                return {"event": "failed", "message": f"unknown request {request['order']}"}
        except FAILURES as failure:
            self._become("degraded")
            return describe_failure(failure)
        return {"event": "done"}

    def close(self) -> None:
        """End all processes of the cloud, and wait for their end."""
        self._become("down")
        alive = [unit for unit in self._units.values() if not unit.pipe.closed]
        for unit in alive:
            unit.pipe.close()
            if unit.state == "importing":  # it does not read the pipe yet
                os.kill(unit.parent_pid, signal.SIGKILL)
        for listener in self._listeners.values():
            listener.close()
        for unit in alive:
            os.waitpid(unit.parent_pid, 0)

    def _become(self, state: str) -> None:
        whole = all(unit.state == "serving" for unit in self._units.values())
        self._state = "degraded" if state == "ready" and not whole else state
        write_private(self._spec.directory / "status.json", json.dumps(self.status(), indent=1))

    def status(self) -> dict[str, Any]:
        """Return the content of ``status.json``."""
        return {
            "state": self._state,
            "pid": os.getpid(),
            "seconds": self._seconds(),
            "services": {
                unit.name: {
                    "state": unit.state,
                    "pid": unit.pid,
                    "url": self._spec.url(unit.name),
                    "log": str(self._spec.log(unit.name)),
                    "exit_status": unit.exit_status,
                }
                for unit in self._units.values()
            },
        }

    def _seconds(self) -> float:
        return round(time.monotonic() - self._began, 3)


def send_event(event: SupervisorEvent) -> None:
    """Write an event to the process that started the supervisor, if it still runs."""
    with contextlib.suppress(BrokenPipeError):
        os.write(1, json.dumps(event).encode() + b"\n")


def run(arguments: argparse.Namespace) -> None:
    """Start the cloud, report that it is ready, and serve until SIGTERM or the starter's end."""
    os.umask(0o077)
    os.chdir(arguments.directory)
    wanted = dict.fromkeys(arguments.service, 0) | dict(arguments.port)
    # This process holds the lock until it ends; the starter locked the new directory.
    os.set_inheritable(arguments.lock, False)
    files.name_holder(arguments.lock, os.getpid())
    starter = SupervisorEnd(arguments.starter)
    listeners = ports.bind(wanted)
    bound = {name: each.getsockname()[1] for name, each in listeners.items()}
    spec = CloudSpec.generate(
        arguments.name,
        arguments.directory,
        bound,
        arguments.options,
        limits=Limits(arguments.start_limit, arguments.stop_limit),
        nodes=arguments.nodes,
    )
    spec.save()
    supervisor = Supervisor(spec, templates.TemplateStore(arguments.templates), starter, send_event)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        supervisor.boot(listeners, io.FileIO(arguments.lock, "r+"))
        # A relative name, because the path of the cloud may be too long for a socket.
        with socket.socket(socket.AF_UNIX) as control:
            control.bind("control")
            control.listen()
            worker.private.hold(control)
            send_event({"event": "ready", **supervisor.status()})
            worker.redirect_output(spec.log("supervisor"))
            supervisor.serve(control)
    finally:
        supervisor.close()


def _port(text: str) -> tuple[str, int]:
    name, _, port = text.partition("=")
    return name, int(port)


def main() -> int:
    """Run a supervisor. ``cloud.client`` starts it."""
    parser = argparse.ArgumentParser(prog="supervisor", description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--templates", type=Path, required=True)
    parser.add_argument("--lock", type=int, required=True)
    parser.add_argument("--starter", type=int, required=True)
    parser.add_argument("--service", choices=service.SERVICES, action="append", required=True)
    parser.add_argument("--port", type=_port, action="append", default=[])
    parser.add_argument("--options", type=json.loads, default={})
    parser.add_argument("--nodes", type=json.loads, default=())
    parser.add_argument("--start-limit", type=float, required=True)
    parser.add_argument("--stop-limit", type=float, required=True)
    try:
        run(parser.parse_args())
    except FAILURES as failure:
        send_event(describe_failure(failure))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
