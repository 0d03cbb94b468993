# SPDX-License-Identifier: Apache-2.0
"""Calls of the methods of an object in another process, by JSON lines over its input and output.

``python -m bsdgate.harness.nodes.agent MODULE:CLASS [SECONDS]`` makes the object, reads calls from
its standard input (``{"method": ..., "arguments": {...}}``) and answers each with any number of
``{"message": {...}}``, then ``{"result": ...}`` or ``{"error": {...}}``. Empty lines keep the
connection alive. The agent closes the object and ends when its input ends, or when nothing came in
for SECONDS: then the controller, or the way to it, is gone.

``Caller`` is the other end.
"""

import importlib
import json
import os
import select
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Self

from bsdgate.harness import errors, process
from bsdgate.harness.nodes.base import NodeLostError, Report
from bsdgate.results.errors import BsdgateError

STOP_TIMEOUT: Final = 30.0
"""Seconds that the agent has to close its object."""

_ERRORS: Final[Mapping[str, Callable[[str, str | None], BsdgateError]]] = {
    "UsageError": errors.UsageError,
    "ConfigurationError": errors.ConfigurationError,
    "InfrastructureError": errors.InfrastructureError,
}


class Caller:
    """Calls the methods of an object that an agent has. It is a ``Remote``.

    ``node`` is the name of the node in messages. ``alive`` is the number of seconds between two
    empty lines that keep the connection alive; None: none are sent.
    """

    def __init__(self, running: process.Running, node: str, alive: float | None = None) -> None:
        self._running = running
        self._node = node
        self._rest = b""
        self._closed = threading.Event()
        self._writing = threading.Lock()
        if alive is not None:
            threading.Thread(target=self._keep_alive, args=(alive,), daemon=True).start()

    def call(self, method: str, report: Report, **arguments: Any) -> Any:
        """Call a method there and return its result; ``report`` takes its messages."""
        self._write(json.dumps({"method": method, "arguments": arguments}).encode())
        for answer in self._answers():
            if "message" in answer:
                report(answer["message"])
            elif "error" in answer:
                raise _error(**answer["error"])
            else:
                return answer["result"]
        raise self._lost()

    def close(self) -> None:
        """End the agent, which closes the object."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._running.close_input()
        if self._running.wait(STOP_TIMEOUT) is None:
            self._running.terminate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _keep_alive(self, seconds: float) -> None:
        while not self._closed.wait(seconds):
            try:
                self._write(b"")
            except NodeLostError:
                return

    def _write(self, line: bytes) -> None:
        try:
            with self._writing:
                self._running.write(line + b"\n")
        except OSError as error:
            raise self._lost() from error

    def _answers(self) -> Iterator[dict[str, Any]]:
        while chunk := self._running.read():
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            yield from map(json.loads, lines)

    def _lost(self) -> NodeLostError:
        status = self._running.wait(STOP_TIMEOUT)
        failure = self._running.failure(f"ended with status {status}")
        return NodeLostError(f"the node {self._node} does not answer: {failure.message}")


def _error(kind: str, message: str, hint: str | None) -> BsdgateError:
    return _ERRORS[kind](message, hint)


def _kind(error: BsdgateError) -> str:
    names = [each.__name__ for each in type(error).__mro__]
    return next((name for name in names if name in _ERRORS), "InfrastructureError")


def serve(path: str, silence: float | None) -> None:
    """Carry out the calls that come on the standard input, until it ends or stays silent."""
    # Only answers may go to the output, whatever else is printed.
    output = os.dup(1)
    os.dup2(2, 1)
    module, _, name = path.partition(":")
    made = getattr(importlib.import_module(module), name)()
    try:
        for line in _lines(silence):
            if line:
                _answer(made, json.loads(line), output)
    finally:
        made.close()


def _lines(silence: float | None) -> Iterator[bytes]:
    rest = b""
    while select.select([0], [], [], silence)[0] and (chunk := os.read(0, 65536)):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines


def _answer(made: Any, call: Mapping[str, Any], output: int) -> None:
    def send(answer: Mapping[str, Any]) -> None:
        os.write(output, json.dumps(answer).encode() + b"\n")

    try:
        method = getattr(made, call["method"])
        result = method(lambda message: send({"message": message}), **call["arguments"])
    except BsdgateError as error:
        fields = {"kind": _kind(error), "message": error.message, "hint": error.hint}
        send({"error": fields})
    else:
        send({"result": result})


if __name__ == "__main__":
    _, path, *seconds = sys.argv
    serve(path, float(seconds[0]) if seconds else None)
