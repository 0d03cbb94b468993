# SPDX-License-Identifier: Apache-2.0
"""Remote method calls: JSON lines on the standard input and output of another process.

``python -m bsdgate.harness.nodes.agent [SECONDS]`` reads calls from its standard input, carries
them out one after the other, and writes the answers to its standard output:

- ``{"call": 1, "object": "MODULE:CLASS", "method": ..., "arguments": {...}}`` is answered by any
  number of ``{"call": 1, "message": {...}}``, then ``{"call": 1, "result": ...}`` or
  ``{"call": 1, "error": {...}}``. The first call makes the object.
- ``{"cancel": 1}`` interrupts that call as Ctrl-C does, if it is in progress.
- Empty lines keep the connection alive.

The agent closes its objects and ends when its input ends, or when it received nothing for SECONDS,
which means that the controller or the connection is lost. A call in progress is interrupted then.

``Caller`` is the client side.
"""

import contextlib
import importlib
import itertools
import json
import os
import queue
import select
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from bsdgate.harness import errors, files, process
from bsdgate.harness.nodes.base import NodeLostError, Report
from bsdgate.results.errors import BsdgateError

STOP_TIMEOUT: Final = 60.0
"""The number of seconds in which the agent must close its objects, or end a cancelled call.

For a node of usual speed.
"""

_ERRORS: Final[Mapping[str, Callable[[str, str | None], BsdgateError]]] = {
    "UsageError": errors.UsageError,
    "ConfigurationError": errors.ConfigurationError,
    "InfrastructureError": errors.InfrastructureError,
}


# The client side ---------------------------------------------------------------------------


class Caller:
    """Calls the methods of the objects of an agent.

    ``node`` is the name of the node in messages. ``alive`` is the number of seconds between two
    empty lines that keep the connection alive; None: no such lines. ``stop`` is the maximum number
    of seconds in which the agent closes its objects, or ends a cancelled call.
    """

    def __init__(
        self,
        running: process.Running,
        node: str,
        alive: float | None = None,
        stop: float = STOP_TIMEOUT,
    ) -> None:
        self._running = running
        self._node = node
        self.stop = stop
        self._rest = b""
        self._lines: deque[bytes] = deque()
        self._numbers = itertools.count(1)
        self._closed = threading.Event()
        self._writing = threading.Lock()
        if alive is not None:
            threading.Thread(target=self._keep_alive, args=(alive,), daemon=True).start()

    def remote(self, path: str) -> "RemoteObject":
        """Return the agent's object of a class (``module:Class``)."""
        return RemoteObject(self, path)

    def call(self, fields: Mapping[str, Any], report: Report) -> Any:
        """Send a call and return its result; ``report`` receives its messages.

        :raises BsdgateError: the method raised it.
        :raises NodeLostError: the agent does not answer.
        """
        number = next(self._numbers)
        self._write({"call": number, **fields})
        try:
            answer = self._await(number, report)
        except NodeLostError:
            raise
        except BaseException:
            self._cancel(number)
            raise
        if "error" in answer:
            raise self._error(**answer["error"])
        return answer["result"]

    def close(self) -> None:
        """End the agent, which closes its objects. Closing it again is harmless."""
        if self._closed.is_set():
            return
        self._closed.set()
        with self._writing:
            self._running.close_input()
        with self._running:
            self._running.wait(self.stop)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _keep_alive(self, seconds: float) -> None:
        while not self._closed.wait(seconds):
            with self._writing:
                try:
                    self._running.write(b"\n")
                except OSError:
                    return

    def _write(self, fields: Mapping[str, Any]) -> None:
        line = json.dumps(fields).encode() + b"\n"
        try:
            with self._writing:
                self._running.write(line)
        except OSError as error:
            raise self._lost() from error

    def _await(self, number: int, report: Report, seconds: float | None = None) -> dict[str, Any]:
        """Return the result or error of a call; skip answers to earlier calls.

        :raises NodeLostError: the agent has ended, or did not answer within ``seconds``.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        while True:
            answer = self._read(deadline)
            if answer["call"] != number:
                continue
            if "message" not in answer:
                return answer
            report(answer["message"])

    def _read(self, deadline: float | None) -> dict[str, Any]:
        while not self._lines:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            chunk = self._running.read(left)
            if not chunk:
                raise self._lost()
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            self._lines.extend(lines)
        answer: dict[str, Any] = json.loads(self._lines.popleft())
        return answer

    def _cancel(self, number: int) -> None:
        """Interrupt a call, and wait for its end: it ends the processes that it has started."""
        with contextlib.suppress(NodeLostError):
            self._write({"cancel": number})
            self._await(number, lambda _: None, self.stop)

    def _lost(self) -> NodeLostError:
        status = self._running.wait(process.GRACE)
        what = "does not respond" if status is None else f"ended with status {status}"
        return NodeLostError(
            f"the node {self._node} does not answer: {self._running.failure(what).message}"
        )

    def _error(self, kind: str, message: str, hint: str | None) -> Exception:
        text = f"on the node {self._node}: {message}"
        made = _ERRORS.get(kind)
        return made(text, hint) if made else RuntimeError(text)


@dataclass(frozen=True)
class RemoteObject:
    """An object of an agent; implements ``Remote``."""

    caller: Caller
    path: str

    def call(self, method: str, report: Report, **arguments: Any) -> Any:
        """Call the method."""
        fields = {"object": self.path, "method": method, "arguments": arguments}
        return self.caller.call(fields, report)


# The server side ---------------------------------------------------------------------------


class Agent:
    """Makes objects, carries out the calls of their methods, and closes them."""

    def __init__(self, output: int) -> None:
        """Write the answers to the descriptor ``output``."""
        self._output = output
        self._objects: dict[str, Any] = {}
        self._calls: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._current: int | None = None
        self._cancelled: int | None = None
        self._gone = False
        self._stopped = False

    def serve(self, silence: float | None) -> None:
        """Carry out the calls on the standard input, until it ends.

        ``silence`` is the maximum number of seconds without input; None: no limit.
        """
        signal.signal(signal.SIGINT, self._interrupt)
        try:
            threading.Thread(target=self._read, args=(silence,), daemon=True).start()
            while (call := self._calls.get()) is not None and not self._gone:
                self._carry_out(call)
        except KeyboardInterrupt:
            pass
        finally:
            self._close()

    def _interrupt(self, *_: object) -> None:
        # Only once: the clean-up that follows must not be interrupted.
        if self._gone and not self._stopped:
            self._stopped = True
            raise KeyboardInterrupt
        if self._current is not None and self._current == self._cancelled:
            self._cancelled = None
            raise KeyboardInterrupt

    # In a thread of its own, to detect a lost controller while a call is carried out.
    def _read(self, silence: float | None) -> None:
        rest = b""
        try:
            while select.select([0], [], [], silence)[0] and (chunk := os.read(0, 65536)):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in filter(None, lines):
                    self._take(json.loads(line))
        finally:
            self._gone = True
            self._calls.put(None)
            _wake_main_thread()

    def _take(self, line: dict[str, Any]) -> None:
        if "cancel" in line:
            self._cancelled = line["cancel"]
            _wake_main_thread()
        else:
            self._calls.put(line)

    def _carry_out(self, call: Mapping[str, Any]) -> None:
        number = call["call"]

        def send(**answer: Any) -> None:
            # Only the end of the input means that the controller is lost.
            with contextlib.suppress(OSError):
                line = json.dumps({"call": number, **answer}).encode() + b"\n"
                files.write_all(self._output, line)

        try:
            self._current = number
            try:
                result = self._call(call, lambda message: send(message=message))
            finally:
                self._current = None
        except BsdgateError as error:
            send(error={"kind": _kind(error), "message": error.message, "hint": error.hint})
        except KeyboardInterrupt:
            self._current = None
            if not self._gone:
                send(error={"kind": "KeyboardInterrupt", "message": "interrupted", "hint": None})
        except Exception:  # noqa: BLE001 - the controller reports each defect
            send(error={"kind": "defect", "message": traceback.format_exc(), "hint": None})
        else:
            send(result=result)

    def _call(self, call: Mapping[str, Any], report: Report) -> Any:
        path = call["object"]
        if path not in self._objects:
            module, _, name = path.partition(":")
            self._objects[path] = getattr(importlib.import_module(module), name)()
        return getattr(self._objects[path], call["method"])(report, **call["arguments"])

    def _close(self) -> None:
        """Close all objects, the last one first, even if the close of one fails."""
        while self._objects:
            _, made = self._objects.popitem()
            try:
                made.close()
            except Exception:  # noqa: BLE001 - the others must be closed too
                with contextlib.suppress(OSError):
                    traceback.print_exc()


def _kind(error: BsdgateError) -> str:
    names = [each.__name__ for each in type(error).__mro__]
    return next((name for name in names if name in _ERRORS), "InfrastructureError")


def _wake_main_thread() -> None:
    """Interrupt the main thread by SIGINT, even in a blocking system call."""
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, signal.SIGINT)


def main() -> None:
    """Serve the calls on the standard input."""
    # The output is for answers only: all other output goes to stderr.
    output = os.dup(1)
    os.dup2(2, 1)
    Agent(output).serve(float(sys.argv[1]) if len(sys.argv) > 1 else None)


if __name__ == "__main__":
    main()
