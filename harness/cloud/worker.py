# SPDX-License-Identifier: Apache-2.0
"""The processes of one service: its preloaded parent and its worker.

A *preloaded parent* has imported a service, but not started it. It forks the
short-lived processes that make a database, and the *worker* that serves. To
replace a killed or stopped worker costs one fork.

Each process holds one end of a pipe to its parent process and ends when the
other end closes. So no process is left behind when any of them is killed.
"""

import contextlib
import gc
import importlib
import importlib.util
import io
import os
import selectors
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

PipeMessage = tuple[Any, ...]

WAIT_SECONDS = 0.5
"""The number of seconds of ``wait_seconds`` with epoll or kqueue: cheroot's default."""
POLL_SECONDS = 0.02
"""The same with poll or select: a delay of each request on a connection that is kept alive."""


class Private:
    """Sockets, pipes and the lock, which only a process made by ``fork`` below inherits.

    Otherwise a process that a service forks by itself, while it is imported or serves, would
    keep the port, the pipes of ended processes and the lock of the cloud until it ends.
    """

    def __init__(self) -> None:
        self._held: weakref.WeakSet[socket.socket | Connection | io.FileIO] = weakref.WeakSet()
        self._ours = False
        os.register_at_fork(after_in_child=self._close)

    def hold(self, *held: socket.socket | Connection | io.FileIO) -> None:
        """Close these in every process that a service forks by itself."""
        self._held.update(held)

    def pipe(self) -> tuple[Connection, Connection]:
        """Return both ends of a new pipe, which other processes do not inherit."""
        ends = Pipe()
        self.hold(*ends)
        return ends

    def fork(self) -> int:
        """Fork a process that inherits all of these; return the same as ``os.fork``."""
        self._ours = True
        try:
            return os.fork()
        finally:
            self._ours = False

    def _close(self) -> None:
        if not self._ours:
            for each in list(self._held):
                each.close()


private = Private()


def preload(name: str, spec: CloudSpec, listener: socket.socket, supervisor: Connection) -> None:
    """Import the service, then carry out requests until the supervisor closes its pipe.

    Requests and replies are tuples. The reply to ``create`` is ``done``, to
    ``start`` ``serving PID``, to ``stop`` ``stopped``; on a failure it is
    ``failed TEXT``. Two messages are sent without a request: ``imported CPU_SECONDS``
    after the import, and ``died EXIT_STATUS`` when the worker ends by itself.
    """
    module = service.load(name)
    module.configure(spec)
    import_all(module.IMPORTS)
    supervisor.send(("imported", time.process_time()))
    PreloadedParent(module, spec, listener, supervisor).carry_out_requests()


def import_shared() -> None:
    """Import the modules that most services import, with threads for oslo.service.

    A module that is not installed is left out: a node has only the services of its profile.

    futurist would import eventlet only to find out whether it is installed, and
    Nova refuses to run on threads once eventlet is imported.
    """
    from oslo_service import backend

    backend.init_backend(backend.BackendType.THREADING)
    sys.modules["eventlet"] = None  # type: ignore[assignment]
    import_all([name for name in service.SHARED_IMPORTS if _is_installed(name)])
    del sys.modules["eventlet"]


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module.partition(".")[0]) is not None


def import_all(names: Sequence[str]) -> None:
    """Import modules with the garbage collector off, then exempt their objects from it.

    A collection during imports finds no garbage. The memory pages of objects that
    the collector never visits stay shared between the processes forked afterwards.
    """
    gc.disable()
    for name in names:
        importlib.import_module(name)
    gc.freeze()
    gc.enable()


class PreloadedParent:
    """The preloaded parent of one service, and its worker while there is one."""

    def __init__(
        self,
        module: service.ServiceModule,
        spec: CloudSpec,
        listener: socket.socket,
        supervisor: Connection,
    ) -> None:
        """Take the service, its listener, and this end of the supervisor's pipe."""
        self._service = module
        self._spec = spec
        self._listener = listener
        self._supervisor = supervisor
        self._pid = 0
        self._worker: Connection | None = None

    def carry_out_requests(self) -> None:
        """Carry out requests until the supervisor has ended or closed the pipe."""
        with contextlib.suppress(EOFError, ConnectionError):
            while True:
                ready = wait([self._supervisor, self._worker or self._listener])
                if self._worker in ready:
                    self._supervisor.send(("died", self._reap()))
                if self._listener in ready:
                    ports.close_waiting_client(self._listener)
                if self._supervisor in ready:
                    self._supervisor.send(self._reply(self._supervisor.recv()))
        self._stop()

    def _reply(self, request: PipeMessage) -> PipeMessage:
        verb, *arguments = request
        return {
            "create": self._create,
            "start": self._start,
            "stop": self._stop,
        }[verb](*arguments)

    def _create(self) -> PipeMessage:
        return self._wait_for(lambda: self._service.create(self._spec, self._run))

    def _run(self, entry: str, argv: Sequence[str]) -> None:
        pid = fork(lambda: service.call_main(entry, argv), self._spec.log(self._service.NAME))
        if os.waitpid(pid, 0)[1]:
            raise RuntimeError(f"{entry} {' '.join(argv)} failed")

    def _wait_for(self, task: Callable[[], None]) -> PipeMessage:
        log = self._spec.log(self._service.NAME)
        status = os.waitpid(fork(task, log), 0)[1]
        return (
            ("failed", f"exit status {os.waitstatus_to_exitcode(status)}") if status else ("done",)
        )

    def _start(self) -> PipeMessage:
        self._worker, theirs = private.pipe()
        ours = self._worker

        def work() -> None:
            ours.close()
            serve(self._service, self._spec, self._listener, theirs)

        self._pid = fork(work, self._spec.log(self._service.NAME))
        theirs.close()
        if self._worker not in wait([self._worker, self._supervisor]):
            # The service may wait without end for another service that is being stopped too.
            self._stop()
            return ("failed", "was stopped before it served")
        try:
            self._worker.recv()
        except EOFError:
            return ("failed", f"exit status {self._reap()}")
        return ("serving", self._pid)

    def _stop(self) -> PipeMessage:
        if self._worker:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            self._reap()
        return ("stopped",)

    def _reap(self) -> int:
        """Wait for the ended worker; return its exit status, -N if signal N ended it."""
        assert self._worker is not None
        self._worker.close()
        self._worker = None
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])


def fork(task: Callable[[], None], log: Path) -> int:
    """Run ``task`` in a child process, which appends its output to ``log``; return its pid.

    The exit status of the child is 0, or 1 if ``task`` raised; the traceback is in ``log``.
    """
    pid = private.fork()
    if not pid:
        _run_and_exit(task, log)
    return pid


def _run_and_exit(task: Callable[[], None], log: Path) -> NoReturn:
    status = 1
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        redirect_output(log)
        task()
        status = 0
    except BaseException:  # noqa: BLE001 - the child must not return to the parent's code
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # Not sys.exit: the child must not run the exit handlers of its parent.
        os._exit(status)


def redirect_output(log: Path) -> None:
    """Append standard output and standard error to ``log``, and read input from /dev/null."""
    folders.make(log.parent)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number in (1, 2):
        os.dup2(output, number)
    os.close(output)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


def serve(
    module: service.ServiceModule, spec: CloudSpec, listener: socket.socket, parent_end: Connection
) -> None:
    """Start the service on its listener, and serve until this process is killed."""
    threading.Thread(target=_end_with, args=(parent_end,), daemon=True).start()
    del sys.argv[1:]  # some services parse the arguments when their application is made
    server = bound_server(listener, module.application(spec), module.THREADS)
    server.prepare()
    parent_end.send(("serving",))
    server.serve()


def _end_with(parent_end: Connection) -> None:
    """End this process when its parent has ended: only the parent can restart or stop it."""
    with contextlib.suppress(EOFError, OSError):
        parent_end.recv()
    os._exit(1)


def bound_server(listener: socket.socket, application: service.Application, threads: int) -> Any:
    """Return a cheroot server that uses an existing listener."""
    from cheroot import wsgi

    class BoundServer(wsgi.Server):
        expiration_interval = wait_seconds()

        def bind(self, family: int, type: int, proto: int = 0) -> socket.socket:  # noqa: A002
            del family, type, proto
            self.socket = listener
            return listener

    return BoundServer(
        listener.getsockname(), application, numthreads=threads, request_queue_size=ports.QUEUE
    )


def wait_seconds() -> float:
    """Return the maximum number of seconds in which a server waits for its idle connections.

    A thread that has answered a request adds the connection to those for which another thread
    waits. epoll and kqueue notice this at once, poll and select only when the next wait begins.
    """
    late = (selectors.SelectSelector, getattr(selectors, "PollSelector", None))
    return POLL_SECONDS if selectors.DefaultSelector in late else WAIT_SECONDS
