# SPDX-License-Identifier: Apache-2.0
"""The process that is a service: imported by its nursery, forked, then serving.

A *nursery* is a process that has imported a service and opened nothing. From
it come the short-lived processes that make a database, and the *worker* that
serves; a killed or stopped worker is replaced in the time of a fork.

Every process holds one end of a pipe to the one that forked it, and ends when
the other end closes: whichever of them is killed, none is left behind.
"""

import contextlib
import gc
import importlib
import io
import os
import signal
import socket
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import Any, NoReturn

from bsdgate.harness import folders
from bsdgate.harness.cloud import ports, service
from bsdgate.harness.cloud.spec import CloudSpec

Message = tuple[Any, ...]


class Private:
    """Sockets, pipes and the lock: only what ``fork`` below makes inherits them.

    A process that a service forks by itself, while it is imported or serves, would keep a port
    taken, a dead process's pipe open, and a cloud's lock held, for as long as it lives.
    """

    def __init__(self) -> None:
        self._held: weakref.WeakSet[socket.socket | Connection | io.FileIO] = weakref.WeakSet()
        self._ours = False
        os.register_at_fork(after_in_child=self._let_go)

    def hold(self, *held: socket.socket | Connection | io.FileIO) -> None:
        """Keep these from the processes that a service forks."""
        self._held.update(held)

    def pipe(self) -> tuple[Connection, Connection]:
        """Return both ends of a new pipe, which are held."""
        ends = Pipe()
        self.hold(*ends)
        return ends

    def fork(self) -> int:
        """Fork a process of the cloud's own, which inherits all."""
        self._ours = True
        try:
            return os.fork()
        finally:
            self._ours = False

    def _let_go(self) -> None:
        if not self._ours:
            for each in list(self._held):
                each.close()


private = Private()


def nursery(name: str, spec: CloudSpec, listener: socket.socket, supervisor: Connection) -> None:
    """Import the service, then do what the supervisor says until its pipe closes.

    Orders and answers are tuples: ``create`` and ``personalise ORIGIN`` are
    answered ``done``, ``start`` by ``serving PID``, ``stop`` by ``stopped``;
    each by ``failed TEXT`` instead. ``died STATUS`` comes unasked.
    """
    module = service.load(name)
    module.configure(spec)
    import_all(module.IMPORTS)
    supervisor.send(("imported", time.process_time()))
    Nursery(module, spec, listener, supervisor).obey()


def import_shared() -> None:
    """Import what most services import, with threads for oslo.service.

    futurist would load eventlet just to know that it is there, and Nova refuses
    to run on threads once it is loaded.
    """
    from oslo_service import backend

    backend.init_backend(backend.BackendType.THREADING)
    sys.modules["eventlet"] = None  # type: ignore[assignment]
    import_all(service.SHARED_IMPORTS)
    del sys.modules["eventlet"]


def import_all(names: Sequence[str]) -> None:
    """Import modules with the garbage collector out of the way, then out of its sight.

    Collections find nothing in code that is being loaded, and objects that are
    never visited stay shared between the processes forked afterwards.
    """
    gc.disable()
    for name in names:
        importlib.import_module(name)
    gc.freeze()
    gc.enable()


class Nursery:
    """One service's nursery and its worker, if there is one."""

    def __init__(
        self,
        module: service.Service,
        spec: CloudSpec,
        listener: socket.socket,
        supervisor: Connection,
    ) -> None:
        """Take the service, and the end of the supervisor's pipe."""
        self._service = module
        self._spec = spec
        self._listener = listener
        self._supervisor = supervisor
        self._pid = 0
        self._worker: Connection | None = None

    def obey(self) -> None:
        """Carry out orders until the supervisor is gone."""
        with contextlib.suppress(EOFError, ConnectionError):
            while True:
                ready = wait([self._supervisor, self._worker or self._listener])
                if self._worker in ready:
                    self._supervisor.send(("died", self._reap()))
                if self._listener in ready:
                    ports.turn_away(self._listener)
                if self._supervisor in ready:
                    self._supervisor.send(self._carry_out(self._supervisor.recv()))
        self._stop()

    def _carry_out(self, order: Message) -> Message:
        verb, *arguments = order
        return {
            "create": self._create,
            "start": self._start,
            "stop": self._stop,
        }[verb](*arguments)

    def _create(self) -> Message:
        return self._wait_for(lambda: self._service.create(self._spec, self._run))

    def _run(self, entry: str, argv: Sequence[str]) -> None:
        pid = fork(lambda: service.call_main(entry, argv), self._spec.log(self._service.NAME))
        if os.waitpid(pid, 0)[1]:
            raise RuntimeError(f"{entry} {' '.join(argv)} failed")

    def _wait_for(self, task: Callable[[], None]) -> Message:
        log = self._spec.log(self._service.NAME)
        status = os.waitpid(fork(task, log), 0)[1]
        return (
            ("failed", f"exit status {os.waitstatus_to_exitcode(status)}") if status else ("done",)
        )

    def _start(self) -> Message:
        self._worker, theirs = private.pipe()
        ours = self._worker

        def work() -> None:
            ours.close()
            serve(self._service, self._spec, self._listener, theirs)

        self._pid = fork(work, self._spec.log(self._service.NAME))
        theirs.close()
        if self._worker not in wait([self._worker, self._supervisor]):
            # A service may wait for ever for another that is ending too.
            self._stop()
            return ("failed", "was stopped before it served")
        try:
            self._worker.recv()
        except EOFError:
            return ("failed", f"exit status {self._reap()}")
        return ("serving", self._pid)

    def _stop(self) -> Message:
        if self._worker:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            self._reap()
        return ("stopped",)

    def _reap(self) -> int:
        """Collect the ended worker; return its exit code, negative for a signal."""
        assert self._worker is not None
        self._worker.close()
        self._worker = None
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])


def fork(task: Callable[[], None], log: Path) -> int:
    """Run ``task`` in a child process, its output appended to ``log``; return its pid.

    The child ends with status 0, or 1 after writing a traceback.
    """
    pid = private.fork()
    if not pid:
        _become(task, log)
    return pid


def _become(task: Callable[[], None], log: Path) -> NoReturn:
    status = 1
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        redirect_output(log)
        task()
        status = 0
    except BaseException:  # noqa: BLE001 - the child ends here, and must not run on as its parent
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # Not sys.exit: what the parent would do at its exit is not the child's to do.
        os._exit(status)


def redirect_output(log: Path) -> None:
    """Point this process's standard streams at ``log``, and its input at nothing."""
    folders.make(log.parent)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number in (1, 2):
        os.dup2(output, number)
    os.close(output)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


def serve(
    module: service.Service, spec: CloudSpec, listener: socket.socket, nursery_end: Connection
) -> None:
    """Start the service on the socket that listens already, and serve until killed."""
    threading.Thread(target=_end_with, args=(nursery_end,), daemon=True).start()
    del sys.argv[1:]  # some services parse it when their application is made
    server = bound_server(listener, module.application(spec), module.THREADS)
    server.prepare()
    nursery_end.send(("serving",))
    server.serve()


def _end_with(nursery_end: Connection) -> None:
    """End this process at once when the nursery is gone: nobody would restart or stop it."""
    with contextlib.suppress(EOFError, OSError):
        nursery_end.recv()
    os._exit(1)


def bound_server(listener: socket.socket, application: service.Application, threads: int) -> Any:
    """Return a cheroot server for a socket that listens already."""
    from cheroot import wsgi

    class BoundServer(wsgi.Server):
        def bind(self, family: int, type: int, proto: int = 0) -> socket.socket:  # noqa: A002
            del family, type, proto
            self.socket = listener
            return listener

    return BoundServer(
        listener.getsockname(), application, numthreads=threads, request_queue_size=ports.QUEUE
    )
