# SPDX-License-Identifier: Apache-2.0
"""The failures of a node in the messages of its kernel."""

import random
import subprocess
from pathlib import Path

import pytest

from bsdgate.harness.nodes import kernel
from bsdgate.harness.nodes.kernel import Messages, added, findings
from bsdgate.harness.nodes.qemu.console import printable_lines
from bsdgate.results.codes import Code, Level

USER = 1001
PANIC, MEMORY, CRASH = Code.KERNEL_PANIC, Code.OUT_OF_MEMORY, Code.PROCESS_CRASHED

# Messages as the kernels print them, with the prefixes of syslogd and dmesg.
KILLED = (
    "Killed process 4321 (python3) total-vm:1048576kB, anon-rss:524288kB, file-rss:128kB,"
    " shmem-rss:0kB, UID:1001 pgtables:1100kB oom_score_adj:0"
)
TOO_LONG = "was killed: a thread waited too long to allocate a page"
INIT = "Attempted to kill init! exitcode=0x00000009"
FAILURES = [
    (PANIC, "panic: page fault"),
    (PANIC, "panic: vm_fault_lookup: fault on nofault entry, addr: 0xfffffe00066bd000"),
    (PANIC, "login: panic: sbsndptr_noadv: sb_mb is NULL"),
    (PANIC, "[1234] panic: page fault"),
    (PANIC, "Fatal trap 12: page fault while in kernel mode"),
    (PANIC, "Fatal double fault"),
    (PANIC, "Fatal data abort:"),
    (PANIC, "KDB: enter: panic"),
    (PANIC, "KDB: panic"),
    (PANIC, f"[    3.214543] Kernel panic - not syncing: {INIT}"),
    (MEMORY, "pid 862 (python3.11), jid 0, uid 0, was killed: failed to reclaim memory"),
    (MEMORY, "pid 7 (nova-api), uid 80, was killed: out of swap space"),
    (MEMORY, f"Apr  4 23:02:43 guest kernel: pid 864 (python3.11), jid 0, uid 1001, {TOO_LONG}"),
    (MEMORY, f"[ 1234.567890] Out of memory: {KILLED}"),
    (MEMORY, f"Memory cgroup out of memory: {KILLED}"),
    # FreeBSD 15, FreeBSD 14, and before FreeBSD 13.
    (
        CRASH,
        "pid 1 (python3.11), jid 0, uid 1001: exited on signal 11 (no core dump - other error)",
    ),
    (CRASH, "pid 1234 (python3.11), jid 3, uid 1001: exited on signal 6 (core dumped)"),
    (CRASH, "pid 1234 (a (b) c), uid 1001: exited on signal 11"),
]
OTHERS = [
    # Of other users.
    "pid 1234 (python3.11), jid 0, uid 1002: exited on signal 11 (core dumped)",
    "Memory cgroup out of memory: Killed process 4321 (x) total-vm:1kB, UID:1002 pgtables:1kB",
    # No failures.
    "pid 12 (cc), jid 0, uid 1001, was killed: exceeded maximum CPU limit",
    "swap_pager: out of swap space",
    "Sleep inhibited: no panic: all is well",
    "KDB: debugger backends: ddb",
    "KDB: enter: manual escape to debugger",
    "oom_reaper: reaped process 4321 (python3), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB",
    # Without a user: of any process on this machine.
    "[74370.04] python[27667]: segfault at 0 ip 00007f39b8999d4e sp 00007ffca82c0ed0 error 6 in x",
    "db> ",
]


@pytest.mark.parametrize(("code", "line"), FAILURES)
@pytest.mark.parametrize("source", ["buffer", "console"])
def test_a_message_of_a_failure_is_found(code: Code, line: str, source: str) -> None:
    lines = ["ugen0.1: <Intel UHCI root HUB> at usbus0", line, "done"]
    (found,) = findings(Messages(**{source: lines}, user=USER), "node-1")
    assert found.code is code
    assert "node-1" in found.text
    assert line in found.text
    assert code.level is Level.ERROR


@pytest.mark.parametrize("line", OTHERS)
def test_another_message_is_no_failure(line: str) -> None:
    assert findings(Messages(buffer=[line], user=USER), "node-1") == []


@pytest.mark.parametrize(
    ("code", "line"),
    [
        (PANIC, "db> "),
        (Code.NODE_REBOOTED, "---<<BOOT>>---"),
        (Code.NODE_REBOOTED, "[    0.000000] Linux version 6.1.0-18-amd64 (debian-kernel@lists)"),
        (CRASH, "[ 12.3] python3[812]: segfault at 0 ip 00007f39b8999d4e sp 00007ffc error 6 in x"),
        (CRASH, "traps: python3[9] general protection fault ip:7f1c sp:7ffd error:0 in libc.so.6"),
        (CRASH, "traps: python3[9] trap invalid opcode ip:7f1c sp:7ffd error:0 in libc.so.6"),
    ],
)
def test_some_messages_count_only_on_the_console_of_a_guest(code: Code, line: str) -> None:
    (found,) = findings(Messages(console=[line], user=USER), "node-1")
    assert found.code is code
    assert findings(Messages(buffer=[line], user=USER), "node-1") == []


def test_without_a_known_user_no_process_counts() -> None:
    lines = ["pid 1 (a), jid 0, uid 1001: exited on signal 11", "panic: page fault"]
    assert [each.code for each in findings(Messages(buffer=lines), "node-1")] == [PANIC]


def test_a_crash_names_both_possible_causes() -> None:
    lines = ["pid 1 (python3.11), jid 0, uid 1001: exited on signal 11"]
    (found,) = findings(Messages(buffer=lines, user=USER), "node-1")
    assert "the cause is the node, or the change under test" in found.text


def test_a_failure_on_the_console_and_in_the_buffer_is_one_failure() -> None:
    line = "pid 1 (python3.11), jid 0, uid 1, was killed: failed to reclaim memory"
    (found,) = findings(Messages(buffer=[line], console=[line]), "node-1")
    assert found.text == f"the node node-1 ran out of memory: {line}"


def test_the_lines_of_a_failure_are_limited() -> None:
    lines = [f"panic: {number} {'x' * 1000}" for number in range(10)]
    (found,) = findings(Messages(console=lines), "node-1")
    assert found.text.endswith("; and 7 more lines")
    assert len(found.text) < 3 * 300 + 100


def test_a_failure_is_found_in_binary_data() -> None:
    noise = random.Random(1).randbytes(100_000)
    lines = printable_lines(
        noise + b"\r\n\x1b[1mFatal trap 12: page fault while in kernel mode\r\n"
    )
    codes = {each.code for each in findings(Messages(console=lines, user=USER), "node-1")}
    assert codes == {PANIC}


# The lines since the last reading ------------------------------------------------------------

BEFORE = [f"line {number}" for number in range(10)]


@pytest.mark.parametrize(
    ("after", "new"),
    [
        (BEFORE, []),
        ([*BEFORE, "new"], ["new"]),
        ([*BEFORE, "line 9", "line 9"], ["line 9", "line 9"]),
        ([*BEFORE[4:], "a", "b"], ["a", "b"]),
        (["4", *BEFORE[5:], "a", "b"], ["a", "b"]),
        (["boot", "login"], ["boot", "login"]),
        ([], []),
    ],
)
def test_the_lines_that_were_added_to_a_ring_are_returned(after: list[str], new: list[str]) -> None:
    assert list(added(BEFORE, after)) == new


def test_all_lines_are_new_after_an_empty_buffer() -> None:
    assert added([], ["a"]) == ["a"]


def test_the_buffer_of_this_kernel_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "dmesg"
    program.write_text("#!/bin/sh\nprintf 'one\\ntwo\\377\\n'\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = kernel.here()
    assert found["lines"] == ["one", "two\N{REPLACEMENT CHARACTER}"]
    assert found["user"] == int(subprocess.check_output(["/usr/bin/id", "-u"]))


def test_a_buffer_that_may_not_be_read_is_null(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "dmesg"
    program.write_text("#!/bin/sh\necho 'dmesg: Operation not permitted' >&2; exit 1\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert kernel.here()["lines"] is None
