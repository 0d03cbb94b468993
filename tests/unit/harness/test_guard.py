# SPDX-License-Identifier: Apache-2.0
"""What a command leaves behind is ended with it, against real processes."""

import os
import signal
import socket
import sys
import time
from pathlib import Path

import pytest
from unit.harness.test_process import family_of, harness, printed_pids, still_alive

from bsdgate.harness import guard, process

# A daemon as the book has it: a fork, a session of its own, another fork. It tells its pid.
DAEMON = """# a daemon
import os, signal, sys, time
if os.fork():
    os.wait()
else:
    os.setsid()
    if os.fork():
        os._exit(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.write(1, b"%d\\n" % os.getpid())
    if sys.argv[1] == "quiet":
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    while True:
        time.sleep(600)
"""
# Lives on in a new process each time, so that no list of processes is ever right.
HYDRA = """
import os
if os.fork():
    os._exit(0)
os.setsid()
os.write(1, b"%d\\n" % os.getpid())
while True:
    if os.fork():
        os._exit(0)
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "command.log"


def daemon(then: str = "", manner: str = "quiet") -> list[str]:
    """Return a command that leaves a daemon, and then does something else."""
    return [sys.executable, "-S", "-c", DAEMON + then, manner]


def shell_daemon() -> str:
    """Return a line for a shell that waits after it has left a daemon; tells two pids in a line."""
    words = " ".join(f"'{word}'" for word in daemon())
    return f"pid=$({words}); echo $$ $pid; read -r _ < /dev/zero; sleep 600"


def test_a_daemon_ends_with_its_command_and_is_named(log: Path) -> None:
    with process.start(daemon(), log=log, stdout=process.PIPE) as running:
        family = family_of(running)
        assert running.wait(30) == 0
        assert not still_alive(family, timeout=0)
        (named,) = running.left
    assert "# a daemon" in named
    assert str(family[0].pid) in named


def test_a_daemon_ends_with_a_command_that_is_ended(log: Path) -> None:
    with process.start(daemon("time.sleep(600)"), log=log, stdout=process.PIPE) as running:
        family = family_of(running)
    assert not still_alive(family, timeout=0)
    assert running.exit_status == -signal.SIGTERM
    assert len(running.left) == 1


def test_a_daemon_that_holds_the_output_does_not_keep_a_reader(log: Path) -> None:
    with process.start(daemon(manner="loud"), log=log, stdout=process.PIPE) as running:
        family = family_of(running)
        assert running.read(30) == b""
    assert not still_alive(family, timeout=0)


def test_what_ends_with_its_parent_is_not_named(log: Path) -> None:
    """As a helper does that sees the end of a pipe."""
    helper = "import os, time\nr, w = os.pipe()\nif not os.fork():\n os.close(w)\n os.read(r, 1)"
    slow = f"{helper}\n time.sleep(0.2)"
    with process.start([sys.executable, "-S", "-c", slow], log=log) as running:
        assert running.wait(30) == 0
        assert running.left == []


def test_a_command_that_leaves_nothing_costs_no_wait(log: Path) -> None:
    began = time.monotonic()
    process.run(["true"], log=log, timeout=30)
    assert time.monotonic() - began < 1


def test_processes_that_replace_themselves_are_caught(log: Path) -> None:
    hydra = [sys.executable, "-S", "-c", HYDRA]
    with process.start(hydra, log=log, stdout=process.PIPE) as running:
        group = int(running.read(30) or 0)
        try:
            assert running.wait(30) == 0
            assert not guard.signal_group(group, 0), "the group lives on"
        finally:
            guard.signal_group(group, signal.SIGKILL)
        assert running.left


def test_a_process_is_named_once_however_late_it_is_reaped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first look names it; at the second it has ended and has its group only."""
    looks = [({7: "sleep (process 7)"}, {5}), ({}, {5})]
    monkeypatch.setattr(guard, "_kill_descendants", lambda _: looks.pop(0))
    monkeypatch.setattr(guard, "SETTLE", 0)
    monkeypatch.setattr(guard, "signal_group", lambda *_: False)
    monkeypatch.setattr(guard, "adopt_orphans", lambda: True)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        monkeypatch.setattr(guard, "_wake_on_signals", theirs.fileno)
        owner = guard.Guard(ours.fileno(), 1)
        monkeypatch.setattr(owner, "_reap", lambda: bool(looks))
        monkeypatch.setattr(owner, "_listen", lambda _: None)
        assert owner.end_rest("") == ["sleep (process 7)"]


def test_killed_harness_leaves_no_daemon(log: Path) -> None:
    with harness(log, shell_daemon(), "stay") as popen:
        family = printed_pids(popen)
        popen.kill()
    assert len(family) == 2
    assert not still_alive(family, timeout=process.GRACE + 20)


def test_a_daemon_of_a_detached_command_ends_with_it(log: Path) -> None:
    with harness(log, shell_daemon(), "detach") as popen:
        command, left = printed_pids(popen)
        assert popen.wait(30) == 0
    assert len(still_alive([command, left], timeout=0)) == 2
    os.killpg(command.pid, signal.SIGKILL)
    assert not still_alive([command, left])


def test_a_closed_pipe_ends_a_command_as_it_ends_others(log: Path) -> None:
    """Python ignores SIGPIPE, and what it starts would inherit that."""
    with process.start(["sh", "-c", "kill -PIPE $$"], log=log) as running:
        assert running.wait(30) == -signal.SIGPIPE


def test_a_program_that_cannot_be_run_is_named(log: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/no/such/interpreter\n")
    broken.chmod(0o700)
    with pytest.raises(process.ProcessError, match="broken: No such file"):
        process.run([broken], log=log, timeout=30)
