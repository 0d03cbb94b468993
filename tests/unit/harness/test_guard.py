# SPDX-License-Identifier: Apache-2.0
"""The guard ends all processes that a command leaves, tested with real processes."""

import os
import signal
import socket
import sys
import time
from pathlib import Path

import pytest
from unit.harness.test_process import harness, printed_pids, still_alive, tree_of

from bsdgate.harness import guard, process

# A usual daemon: a fork, its own session, another fork. It prints its pid.
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
# Forks and ends all the time, so that no list of its processes is ever complete.
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
    """Return a command that leaves a daemon, and then runs ``then``."""
    return [sys.executable, "-S", "-c", DAEMON + then, manner]


def shell_daemon() -> str:
    """Return a shell command that leaves a daemon and waits; it prints both pids on one line."""
    words = " ".join(f"'{word}'" for word in daemon())
    return f"pid=$({words}); echo $$ $pid; read -r _ < /dev/zero; sleep 600"


def test_a_daemon_ends_with_its_command_and_is_reported(log: Path) -> None:
    with process.start(daemon(), log=log, stdout=process.PIPE) as running:
        processes = tree_of(running)
        assert running.wait(30) == 0
        assert not still_alive(processes, timeout=0)
        (named,) = running.left
    assert "# a daemon" in named
    assert str(processes[0].pid) in named


def test_a_daemon_ends_with_a_command_that_is_ended(log: Path) -> None:
    with process.start(daemon("time.sleep(600)"), log=log, stdout=process.PIPE) as running:
        processes = tree_of(running)
    assert not still_alive(processes, timeout=0)
    assert running.exit_status == -signal.SIGTERM
    assert len(running.left) == 1


def test_a_daemon_that_holds_the_output_does_not_block_a_reader(log: Path) -> None:
    with process.start(daemon(manner="loud"), log=log, stdout=process.PIPE) as running:
        processes = tree_of(running)
        assert running.read(30) == b""
    assert not still_alive(processes, timeout=0)


def test_a_process_that_ends_with_its_parent_is_not_reported(log: Path) -> None:
    """Such as a helper process that reads until the end of a pipe."""
    helper = "import os, time\nr, w = os.pipe()\nif not os.fork():\n os.close(w)\n os.read(r, 1)"
    slow = f"{helper}\n time.sleep(0.2)"
    with process.start([sys.executable, "-S", "-c", slow], log=log) as running:
        assert running.wait(30) == 0
        assert running.left == []


def test_after_a_command_that_leaves_nothing_there_is_no_wait(log: Path) -> None:
    began = time.monotonic()
    process.run(["true"], log=log, timeout=30)
    assert time.monotonic() - began < 1


def test_processes_that_fork_and_end_all_the_time_are_killed(log: Path) -> None:
    hydra = [sys.executable, "-S", "-c", HYDRA]
    with process.start(hydra, log=log, stdout=process.PIPE) as running:
        group = int(running.read(30) or 0)
        try:
            assert running.wait(30) == 0
            assert not guard.signal_group(group, 0), "the group lives on"
        finally:
            guard.signal_group(group, signal.SIGKILL)
        assert running.left


def test_a_process_that_is_reaped_late_is_reported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first check finds its name; at the second it has ended and has only its group."""
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
        processes = printed_pids(popen)
        popen.kill()
    assert len(processes) == 2
    assert not still_alive(processes, timeout=process.GRACE + 20)


def test_a_daemon_of_a_detached_command_ends_with_it(log: Path) -> None:
    with harness(log, shell_daemon(), "detach") as popen:
        command, left = printed_pids(popen)
        assert popen.wait(30) == 0
    assert len(still_alive([command, left], timeout=0)) == 2
    os.killpg(command.pid, signal.SIGKILL)
    assert not still_alive([command, left])


def test_a_command_has_the_default_action_for_a_closed_pipe(log: Path) -> None:
    """Python ignores SIGPIPE, and its child processes would inherit that."""
    with process.start(["sh", "-c", "kill -PIPE $$"], log=log) as running:
        assert running.wait(30) == -signal.SIGPIPE


def test_a_program_that_cannot_be_run_is_reported(log: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/no/such/interpreter\n")
    broken.chmod(0o700)
    with pytest.raises(process.ProcessError, match="broken: No such file"):
        process.run([broken], log=log, timeout=30)
