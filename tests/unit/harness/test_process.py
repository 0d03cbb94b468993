# SPDX-License-Identifier: Apache-2.0
"""bsdgate.harness.process, with real processes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from bsdgate.harness import process
from bsdgate.harness.errors import InfrastructureError

# Prints its own pid and that of a grandchild, then runs for long enough to be ended by the test.
PARENT_AND_CHILD = 'sleep 600 & echo "$$ $!"; wait'
IGNORES_SIGTERM = 'trap "" TERM; echo ready; while :; do sleep 600; done'

# A harness that starts several processes and then waits; it prints their pids.
HARNESS = """
import sys
from pathlib import Path
from bsdgate.harness import process
running = process.start(["sh", "-c", sys.argv[2]], log=Path(sys.argv[1]), stdout=process.PIPE)
print(running.read(30).decode().strip(), flush=True)
if sys.argv[3] == "stay":
    running.wait()
elif sys.argv[3] == "detach":
    running.detach()
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "command.log"


def python(code: str) -> list[str]:
    return [sys.executable, "-S", "-c", code]


def tree_of(running: process.Running) -> list[psutil.Process]:
    pids = running.read(30)
    assert pids is not None
    return processes_of(pids)


def processes_of(pids: bytes) -> list[psutil.Process]:
    """Return the processes with these pids, without those that have ended already."""
    found = []
    for pid in pids.split():
        with suppress(psutil.NoSuchProcess):
            found.append(psutil.Process(int(pid)))
    return found


def still_alive(processes: list[psutil.Process], timeout: float = 10) -> list[psutil.Process]:
    """Wait for the processes' end; a zombie that only its new parent can reap has ended."""
    deadline = time.monotonic() + timeout
    alive = processes
    while alive:
        _, alive = psutil.wait_procs(alive, timeout=0.02)
        alive = [each for each in alive if not is_zombie(each)]
        if time.monotonic() >= deadline:
            break
    return alive


def is_zombie(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@contextmanager
def harness(log: Path, command: str, manner: str) -> Iterator[subprocess.Popen[bytes]]:
    argv = [sys.executable, "-c", HARNESS, str(log), command, manner]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as popen:
        try:
            yield popen
        finally:
            popen.kill()


def printed_pids(popen: subprocess.Popen[bytes]) -> list[psutil.Process]:
    assert popen.stdout is not None
    return processes_of(popen.stdout.readline())


def test_run_writes_everything_to_a_private_log(log: Path) -> None:
    completed = process.run(["sh", "-c", "echo out; echo err >&2"], log=log, timeout=30)
    assert completed.exit_status == 0
    assert log.read_text() == "out\nerr\n"
    assert log.stat().st_mode & 0o777 == 0o600


def test_run_can_write_stdout_to_another_file(log: Path, tmp_path: Path) -> None:
    listing = tmp_path / "asked.txt"
    process.run(["sh", "-c", "echo out; echo err >&2"], log=log, timeout=30, stdout=listing)
    assert (listing.read_text(), log.read_text()) == ("out\n", "err\n")


def test_output_is_returned_with_replaced_bytes_and_within_the_bound() -> None:
    argv = ["printf", "first\\n\\377\\n"]
    assert process.output(argv, timeout=30) == "first\n\N{REPLACEMENT CHARACTER}\n"
    assert process.output(argv, timeout=30, bound=2) == "\N{REPLACEMENT CHARACTER}\n"
    with pytest.raises(process.ProcessError, match="(?s)status 3.*broken"):
        process.output(["sh", "-c", "echo broken >&2; exit 3"], timeout=30)


def test_arguments_reach_the_program_unchanged(log: Path) -> None:
    odd = ["", "a b", "$HOME", "`id`", "*", "-n", 'q"q', "é\n"]
    code = "import json, sys; print(json.dumps([sys.argv[1:], sys.stdin.read()]))"
    process.run([*python(code), *odd], log=log, timeout=30)
    assert json.loads(log.read_text()) == [odd, ""]


def test_failure_reports_status_last_lines_and_a_command_that_works(
    log: Path, tmp_path: Path
) -> None:
    log.write_text("an earlier command's output\n")
    script = 'echo "$GREETING" there >&2; exit 3'
    with pytest.raises(process.ProcessError) as caught:
        process.run(
            ["sh", "-c", script],
            log=log,
            timeout=30,
            cwd=tmp_path,
            env=process.environment(GREETING="hello  you", HOME=None),
        )
    message = str(caught.value)
    assert caught.value.exit_status == 3
    assert "sh ended with status 3\n  | hello  you there" in message
    assert "earlier" not in message
    assert str(log) in message
    again = subprocess.run(
        ["sh", "-c", message.splitlines()[-1]], capture_output=True, text=True, check=False
    )
    assert (again.returncode, again.stderr) == (3, "hello  you there\n")


def test_failure_hides_secrets(log: Path) -> None:
    secret = "swordfish"
    argv = ["sh", "-c", 'echo "$1 $2 $ADMIN_PASSWORD http://me:pw@host/"; exit 1', "sh"]
    options = [f"--os-password={secret}1", "--bootstrap-password", f"{secret}2"]
    with pytest.raises(process.ProcessError) as caught:
        process.run(
            [*argv, *options, "http://me:pw@host/"],
            log=log,
            timeout=30,
            env=process.environment(ADMIN_PASSWORD=f"{secret}3"),
        )
    assert secret in log.read_text()
    assert secret not in str(caught.value)
    assert "me:pw" not in str(caught.value)
    assert "me:***@host" in str(caught.value)


def test_failure_reports_the_signal(log: Path) -> None:
    with pytest.raises(process.ProcessError, match="killed by SIGKILL"):
        process.run(["sh", "-c", "kill -9 $$"], log=log, timeout=30)


def test_without_check_the_status_is_returned(log: Path) -> None:
    assert process.run(["false"], log=log, timeout=30, check=False).exit_status == 1


def test_time_limit_ends_the_whole_group(log: Path) -> None:
    with pytest.raises(process.ProcessError, match=r"did not end within 0\.5 s") as caught:
        process.run(["sh", "-c", PARENT_AND_CHILD], log=log, timeout=0.5)
    assert caught.value.exit_status is not None
    processes = [int(pid) for pid in log.read_text().split()]
    assert not still_alive([psutil.Process(pid) for pid in processes if psutil.pid_exists(pid)])


@pytest.mark.parametrize("name", ["no-such-program", "./no-such-program"])
def test_unknown_program_is_reported(log: Path, name: str) -> None:
    with pytest.raises(InfrastructureError, match="no program .*no-such-program"):
        process.run([name], log=log, timeout=30)


def test_log_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match=r"cannot write .*absent/x\.log"):
        process.run(["true"], log=tmp_path / "absent" / "x.log", timeout=30)


def test_missing_working_directory_is_reported(log: Path, tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match="cannot start .*absent"):
        process.run(["true"], log=log, timeout=30, cwd=tmp_path / "absent")


def test_much_output_is_read_in_full_and_kept_out_of_errors(log: Path) -> None:
    size = 20_000_000
    flood = (
        f"import sys; [sys.stdout.write('x' * 1000) for _ in range({size} // 1000)]; sys.exit(1)"
    )
    with process.start(python(flood), log=log, stdout=process.PIPE) as running:
        read = sum(map(len, iter(lambda: running.read(30) or b"", b"")))
        assert (read, running.wait(30)) == (size, 1)
    with pytest.raises(process.ProcessError) as caught:
        process.run(python(flood), log=log, timeout=30)
    assert log.stat().st_size == size
    assert len(str(caught.value)) < 20_000


def test_read_distinguishes_a_timeout_from_the_end(log: Path) -> None:
    with process.start(["cat", "/dev/tty"], log=log, stdout=process.PIPE) as running:
        assert running.read(30) == b""
    with process.start(["sleep", "600"], log=log, stdout=process.PIPE) as running:
        assert running.read(0.01) is None
        assert running.wait(0.01) is None
        assert running.exit_status is None
    assert running.exit_status == -signal.SIGTERM


def test_processes_that_a_process_leaves_are_ended(log: Path) -> None:
    leaver = 'sleep 600 & echo "$$ $!"'
    with process.start(["sh", "-c", leaver], log=log, stdout=process.PIPE) as running:
        processes = tree_of(running)
        assert running.wait(30) == 0
        assert running.read(30) == b"", "the child that was left held the pipe"
    assert not still_alive(processes)


def test_process_that_ignores_sigterm_is_killed_after_the_grace_period(log: Path) -> None:
    with process.start(["sh", "-c", IGNORES_SIGTERM], log=log, stdout=process.PIPE) as running:
        assert running.read(30) == b"ready\n"
        assert running.terminate(grace=0.1) == -signal.SIGKILL
    assert not psutil.pid_exists(running.pid), "a zombie is left"


def test_grace_period_is_for_the_whole_group(log: Path, tmp_path: Path) -> None:
    """The leader ends at once; its child process has time to write its data."""
    done = tmp_path / "done"
    child = f"trap 'echo saved > {done}; exit' TERM; echo ready; while :; do sleep 0.05; done"
    leader = f"({child}) & wait"
    with process.start(["sh", "-c", leader], log=log, stdout=process.PIPE) as running:
        assert running.read(30) == b"ready\n"
        running.terminate(grace=30)
    assert done.read_text() == "saved\n"


def test_terminating_twice_or_late_is_harmless(log: Path) -> None:
    with process.start(["true"], log=log) as running:
        assert running.wait(30) == 0
        assert running.terminate() == 0
        assert running.terminate() == 0


def test_killed_harness_leaves_nothing(log: Path) -> None:
    with harness(log, PARENT_AND_CHILD, "stay") as popen:
        processes = printed_pids(popen)
        popen.kill()
    assert len(processes) == 2
    assert not still_alive(processes)


def test_killed_harness_leaves_no_process_that_ignores_sigterm(log: Path) -> None:
    ignoring = 'trap "" TERM; sleep 600 & echo "$$ $!"; wait'
    with harness(log, ignoring, "stay") as popen:
        processes = printed_pids(popen)
        popen.kill()
    assert not still_alive(processes, timeout=process.GRACE + 10)


def test_harness_that_ends_without_ending_its_processes_leaves_nothing(log: Path) -> None:
    with harness(log, PARENT_AND_CHILD, "leave") as popen:
        processes = printed_pids(popen)
        popen.wait(30)
    assert not still_alive(processes)


def test_detached_process_outlives_the_harness(log: Path) -> None:
    with harness(log, PARENT_AND_CHILD, "detach") as popen:
        processes = printed_pids(popen)
        assert popen.wait(30) == 0
    assert len(still_alive(processes, timeout=0)) == 2
    os.killpg(processes[0].pid, signal.SIGKILL)
    assert not still_alive(processes)


def guards_of(pid: int) -> list[psutil.Process]:
    found = psutil.Process(pid).children()
    return [each for each in found if not is_zombie(each) and "guard.py" in str(each.cmdline())]


def test_guard_holds_no_output_and_ends_with_the_harness(log: Path) -> None:
    with harness(log, PARENT_AND_CHILD, "stay") as popen:
        printed_pids(popen)
        (watcher,) = guards_of(popen.pid)
        assert os.getsid(watcher.pid) == watcher.pid, "Ctrl-C would reach it"
        popen.kill()
        # A reader of the harness's stdout, such as tox, gets its end.
        assert popen.communicate(timeout=30)[0] == b""
    assert not still_alive([watcher])


def test_command_of_a_killed_guard_is_killed(log: Path) -> None:
    with process.start(["sh", "-c", PARENT_AND_CHILD], log=log, stdout=process.PIPE) as running:
        processes = tree_of(running)
        psutil.Process(running.pid).kill()
        assert running.read(30) == b""
        assert running.wait(30) == -signal.SIGKILL
        assert not still_alive(processes)


def test_guard_that_was_stopped_is_ended_with_its_command(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_GUARD_MARGIN", 0.1)
    with process.start(["sh", "-c", PARENT_AND_CHILD], log=log, stdout=process.PIPE) as running:
        processes = tree_of(running)
        psutil.Process(running.pid).suspend()
        assert running.terminate(grace=0.1) == -signal.SIGKILL
    assert not still_alive(processes)


def test_guard_that_receives_sigterm_ends_its_command(log: Path) -> None:
    with process.start(["sh", "-c", PARENT_AND_CHILD], log=log, stdout=process.PIPE) as running:
        processes = tree_of(running)
        psutil.Process(running.pid).terminate()
        assert running.wait(30) == -signal.SIGTERM
    assert not still_alive(processes)


def test_harness_and_guard_killed_together_leave_no_command(log: Path) -> None:
    with harness(log, 'echo "$$"; exec sleep 600', "stay") as popen:
        processes = printed_pids(popen)
        for each in [psutil.Process(popen.pid), *guards_of(popen.pid)]:
            each.suspend()
        for each in guards_of(popen.pid):
            each.kill()
        popen.kill()
    assert not still_alive(processes)


def test_forked_child_does_not_hold_the_guard(log: Path) -> None:
    """Otherwise a forked helper that outlives a killed harness would keep its processes alive."""
    fork = "import os, signal\nif os.fork() == 0:\n    signal.pause()\n"
    script = HARNESS.replace("print(", fork + "print(", 1)
    argv = [sys.executable, "-c", script, str(log), PARENT_AND_CHILD, "stay"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True) as popen:
        processes = printed_pids(popen)
        popen.kill()
        popen.wait(30)
        assert not still_alive(processes)
        os.killpg(popen.pid, signal.SIGKILL)


def test_environment_is_the_listed_variables_and_the_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("OS_CLOUD", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "GITHUB_TOKEN"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("TZ", "UTC")
    env = process.environment(WANTED="1", HOME=None, OS_CLOUD="bsdgate")
    assert (env["WANTED"], env["OS_CLOUD"], env["TZ"]) == ("1", "bsdgate", "UTC")
    assert not {"PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "GITHUB_TOKEN", "HOME"} & set(env)
