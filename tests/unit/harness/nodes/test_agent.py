# SPDX-License-Identifier: Apache-2.0
"""Calls of an object in a real agent process."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bsdgate.harness import process
from bsdgate.harness.errors import ConfigurationError, InfrastructureError, UsageError
from bsdgate.harness.nodes.agent import Caller
from bsdgate.harness.nodes.base import Message, NodeLostError, ignore

SAMPLE = "unit.harness.nodes.test_agent:Sample"
TESTS = Path(__file__).parents[3]
LONG = 60.0


class Sample:
    """An object of the agent. It writes its end to ``log``."""

    def __init__(self) -> None:
        self.log: Path | None = None

    def note(self, _report: Any, *, log: str) -> int:
        """Use this log file; return the process id."""
        self.log = Path(log)
        return os.getpid()

    def count(self, report: Callable[[Message], None], *, to: int) -> int:
        """Report the numbers; print text that is not an answer."""
        for number in range(to):
            sys.stdout.write("noise\n")
            sys.stdout.flush()
            report({"number": number})
        return to

    def fail(self, _report: Any, *, how: str) -> None:
        """Raise the error with this name."""
        errors = {
            "usage": UsageError("wrong", "do that"),
            "configuration": ConfigurationError("file", None, ["line 1", "line 2"]),
            "lost": NodeLostError("another node"),
        }
        raise errors.get(how, ZeroDivisionError(how))

    def hold(self, report: Callable[[Message], None]) -> None:
        """Wait until the call is interrupted; write the interrupt to the log."""
        try:
            report({"state": "waiting"})
            threading.Event().wait()
        except KeyboardInterrupt:
            self._write("interrupted")
            raise

    def work(self, _report: Any, *, seconds: float) -> str:
        """Return after so many seconds of processor time."""
        end = time.process_time() + seconds
        while time.process_time() < end:
            pass
        return "done"

    def die(self, _report: Any) -> None:
        """Kill the process."""
        sys.stderr.write("about to die\n")
        os.kill(os.getpid(), signal.SIGKILL)

    def close(self) -> None:
        """Write to the log that the object was closed."""
        self._write("closed")

    def _write(self, word: str) -> None:
        if self.log is not None:
            with self.log.open("a") as file:
                file.write(f"{word}\n")


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., process.Running]]:
    """Return a function that starts an agent with a maximum number of seconds of silence."""
    running: list[process.Running] = []

    def start(*silence: str) -> process.Running:
        argv = [sys.executable, "-P", "-m", "bsdgate.harness.nodes.agent", *silence]
        env = process.environment(PYTHONPATH=str(TESTS))
        pipe = process.PIPE
        log = tmp_path / "agent.log"
        running.append(process.start(argv, log=log, env=env, stdout=pipe, stdin=pipe))
        return running[-1]

    yield start
    for each in running:
        with each:
            each.close_input()


@pytest.fixture
def caller(started: Callable[..., process.Running]) -> Iterator[Caller]:
    with Caller(started(), "node-1") as caller:
        yield caller


def words(log: Path) -> list[str]:
    return log.read_text().split() if log.exists() else []


def test_messages_precede_the_result_and_printed_text_is_no_answer(caller: Caller) -> None:
    messages: list[Message] = []
    assert caller.remote(SAMPLE).call("count", messages.append, to=3) == 3
    assert messages == [{"number": 0}, {"number": 1}, {"number": 2}]


def test_an_error_has_the_same_class_and_the_name_of_the_node(caller: Caller) -> None:
    sample = caller.remote(SAMPLE)
    with pytest.raises(UsageError, match="on the node node-1: wrong") as usage:
        sample.call("fail", ignore, how="usage")
    assert usage.value.hint == "do that"
    with pytest.raises(ConfigurationError, match=r"file\n  line 1\n  line 2"):
        sample.call("fail", ignore, how="configuration")
    with pytest.raises(InfrastructureError, match="another node") as infrastructure:
        sample.call("fail", ignore, how="lost")
    assert not isinstance(infrastructure.value, NodeLostError)


def test_an_unexpected_error_is_raised_here_and_the_agent_continues(caller: Caller) -> None:
    sample = caller.remote(SAMPLE)
    with pytest.raises(RuntimeError, match="(?s)on the node node-1.*ZeroDivisionError: odd"):
        sample.call("fail", ignore, how="odd")
    assert sample.call("count", ignore, to=1) == 1


def test_a_killed_agent_is_a_lost_node(caller: Caller) -> None:
    sample = caller.remote(SAMPLE)
    for _ in range(2):
        with pytest.raises(NodeLostError, match="(?s)the node node-1 does not answer.*about to"):
            sample.call("die", ignore)


def test_closing_closes_the_objects_and_ends_the_agent(
    started: Callable[..., process.Running], tmp_path: Path
) -> None:
    log, running = tmp_path / "log", started()
    with Caller(running, "node-1") as caller:
        caller.remote(SAMPLE).call("note", ignore, log=str(log))
    assert (words(log), running.exit_status) == (["closed"], 0)
    caller.close()
    assert words(log) == ["closed"]


def test_an_agent_that_does_not_end_in_time_is_ended(tmp_path: Path) -> None:
    argv = ["sh", "-c", "exec sleep 600"]
    pipe = process.PIPE
    running = process.start(argv, log=tmp_path / "log", stdout=pipe, stdin=pipe)
    Caller(running, "node-1", stop=0.1).close()
    assert running.exit_status == -signal.SIGTERM


def test_the_end_of_the_input_interrupts_a_call(
    started: Callable[..., process.Running], tmp_path: Path
) -> None:
    log, running = tmp_path / "log", started()
    caller = Caller(running, "node-1")
    caller.remote(SAMPLE).call("note", ignore, log=str(log))

    def lose(message: Message) -> None:
        assert message == {"state": "waiting"}
        running.close_input()

    with pytest.raises(NodeLostError, match="ended with status 0"):
        caller.remote(SAMPLE).call("hold", lose)
    assert running.wait(LONG) == 0
    assert words(log) == ["interrupted", "closed"]
    with pytest.raises(NodeLostError):
        caller.remote(SAMPLE).call("count", ignore, to=1)


def test_silence_ends_an_agent_during_a_call(
    started: Callable[..., process.Running], tmp_path: Path
) -> None:
    """The input is not closed, as with a connection that is cut."""
    log, running = tmp_path / "log", started("3")
    sample = Caller(running, "node-1").remote(SAMPLE)
    sample.call("note", ignore, log=str(log))
    with pytest.raises(NodeLostError, match="ended with status 0"):
        sample.call("hold", ignore)
    assert running.wait(LONG) == 0
    assert words(log) == ["interrupted", "closed"]


def test_keepalive_lines_keep_an_agent(started: Callable[..., process.Running]) -> None:
    with Caller(started("2"), "node-1", alive=0.1) as caller:
        assert caller.remote(SAMPLE).call("work", ignore, seconds=3) == "done"
        assert caller.remote(SAMPLE).call("work", ignore, seconds=0) == "done"


def test_an_interrupted_call_is_ended_and_the_next_is_answered(
    caller: Caller, tmp_path: Path
) -> None:
    log, sample = tmp_path / "log", caller.remote(SAMPLE)
    sample.call("note", ignore, log=str(log))

    def press_ctrl_c(_: Message) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sample.call("hold", press_ctrl_c)
    assert words(log) == ["interrupted"]
    assert sample.call("count", ignore, to=2) == 2


def test_the_cancellation_of_a_completed_call_has_no_effect(caller: Caller) -> None:
    sample = caller.remote(SAMPLE)

    def fail(message: Message) -> None:
        raise ValueError(message)

    for _ in range(20):
        with pytest.raises(ValueError, match="number"):
            sample.call("count", fail, to=1)
        assert sample.call("count", ignore, to=3) == 3


def test_a_closed_agent_is_not_called(caller: Caller) -> None:
    caller.close()
    with pytest.raises(NodeLostError, match="ended with status 0"):
        caller.remote(SAMPLE).call("count", ignore, to=1)
