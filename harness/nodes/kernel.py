# SPDX-License-Identifier: Apache-2.0
"""Finds failures of a node in the messages of its kernel.

The texts are those of FreeBSD (sys/kern/kern_shutdown.c, subr_kdb.c, kern_sig.c, kern_ucoredump.c,
sys/vm/vm_pageout.c, trap.c of the architectures), and of Linux (kernel/panic.c, mm/oom_kill.c,
arch/x86/mm/fault.c, traps.c): the guests of the tests run Linux.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bsdgate.harness import process
from bsdgate.harness.errors import InfrastructureError
from bsdgate.results.codes import Code
from bsdgate.results.problems import Finding

BUFFER_BYTES: Final = 1 << 19
"""The maximum number of bytes, at the end of the kernel's message buffer, that are read."""
LINES: Final = 3
"""The maximum number of lines in a finding."""
LINE_LENGTH: Final = 300
"""The maximum number of characters of a line in a finding."""
# Not multiplied by the factor for slow nodes: dmesg copies a small buffer.
TIMEOUT: Final = 60.0

# A message of the kernel begins a line. On a console it can follow the prompt of getty, and syslogd
# and dmesg can add a prefix.
_BEGIN: Final = r"(?:^|login: |kernel: |\] )"
_PID: Final = r"pid \d+ \(.{1,40}\), (?:jid \d+, )?"
_NO_MEMORY: Final = (
    "failed to reclaim memory|a thread waited too long to allocate a page|out of swap space"
)


@dataclass(frozen=True)
class Messages:
    """New messages of a kernel: in its buffer (dmesg), and on the console of a guest.

    ``user`` is the user id of the services; None if it is not known.
    """

    buffer: Sequence[str] = ()
    console: Sequence[str] = ()
    user: int | None = None


@dataclass(frozen=True)
class _Sign:
    """A message that shows a failure.

    If the pattern has the group ``uid``, only messages about processes of the user of the services
    count. With ``on_console`` only messages on the console of a guest count: they do not have the
    user, and in a guest there are no other users.
    """

    code: Code
    pattern: re.Pattern[str]
    on_console: bool = False


_SIGNS: Final[Sequence[_Sign]] = (
    # FreeBSD.
    _Sign(Code.KERNEL_PANIC, re.compile(rf"{_BEGIN}panic: ")),
    _Sign(Code.KERNEL_PANIC, re.compile(rf"{_BEGIN}Fatal (?:trap \d+: |double fault|data abort:)")),
    _Sign(Code.KERNEL_PANIC, re.compile(rf"{_BEGIN}KDB: (?:enter: panic|panic)")),
    _Sign(Code.KERNEL_PANIC, re.compile(r"^db> ?$"), on_console=True),
    _Sign(Code.OUT_OF_MEMORY, re.compile(rf"{_PID}uid \d+, was killed: (?:{_NO_MEMORY})")),
    _Sign(Code.PROCESS_CRASHED, re.compile(rf"{_PID}uid (?P<uid>\d+): exited on signal \d+")),
    _Sign(Code.NODE_REBOOTED, re.compile(r"---<<BOOT>>---"), on_console=True),
    # Linux.
    _Sign(Code.KERNEL_PANIC, re.compile(r"Kernel panic - not syncing")),
    _Sign(
        Code.OUT_OF_MEMORY,
        re.compile(r"\bOut of memory(?: \(oom_kill_allocating_task\))?: Killed process \d+"),
    ),
    _Sign(
        Code.OUT_OF_MEMORY,
        re.compile(r"Memory cgroup out of memory: Killed process \d+ .*\bUID:(?P<uid>\d+)"),
    ),
    _Sign(
        Code.PROCESS_CRASHED,
        re.compile(
            r"\S+\[\d+\]: segfault at [0-9a-f]+ ip |\btraps: \S+\[\d+\] .* ip:[0-9a-f]+ sp:"
        ),
        on_console=True,
    ),
    _Sign(Code.NODE_REBOOTED, re.compile(r"\bLinux version \d"), on_console=True),
)
_TEXTS: Final = {
    Code.KERNEL_PANIC: "the kernel of the node {node} panicked",
    Code.OUT_OF_MEMORY: "the node {node} ran out of memory",
    Code.PROCESS_CRASHED: (
        "processes on the node {node} ended on signals; the cause is the node, or the change under"
        " test"
    ),
    Code.NODE_REBOOTED: "the node {node} was rebooted during the run",
}


def here() -> dict[str, Any]:
    """Return the ``lines`` of this kernel's message buffer, and the ``user``, as JSON.

    ``lines`` is null if this user may not read the buffer.
    """
    try:
        text = process.output(["dmesg"], timeout=TIMEOUT, bound=BUFFER_BYTES)
    except InfrastructureError:
        return {"lines": None, "user": os.geteuid()}
    return {"lines": text.splitlines(), "user": os.geteuid()}


def added(before: Sequence[str], after: Sequence[str]) -> Sequence[str]:
    """Return the lines that were added to a message buffer between two readings.

    The buffer is a ring: its first lines can be lost, and the new first line can be incomplete.
    After a reboot the buffer can be new, and all its lines were added.
    """
    for skipped in (0, 1):
        lines = after[skipped:]
        for kept in range(min(len(before), len(lines)), 0, -1):
            if before[-kept:] == lines[:kept]:
                return lines[kept:]
    return after


def findings(messages: Messages, node: str) -> Sequence[Finding]:
    """Return the failures that messages of the kernel of ``node`` show: one for each code."""
    found: dict[Code, dict[str, None]] = {}
    for code, line in _found(messages):
        found.setdefault(code, {})[line[:LINE_LENGTH].strip()] = None
    return [Finding(code, _text(code, node, list(lines))) for code, lines in found.items()]


def _found(messages: Messages) -> Iterator[tuple[Code, str]]:
    for lines, console in ((messages.console, True), (messages.buffer, False)):
        for line in lines:
            for sign in _SIGNS:
                if (console or not sign.on_console) and (match := sign.pattern.search(line)):
                    uid = match.groupdict().get("uid")
                    if uid is None or int(uid) == messages.user:
                        yield sign.code, line


def _text(code: Code, node: str, lines: Sequence[str]) -> str:
    shown = "; ".join(lines[:LINES])
    more = f"; and {len(lines) - LINES} more lines" if len(lines) > LINES else ""
    return f"{_TEXTS[code].format(node=node)}: {shown}{more}"
