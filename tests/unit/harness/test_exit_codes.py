# SPDX-License-Identifier: Apache-2.0
"""The exit code is correct in every case in which a command ends."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from bsdgate.harness.errors import InfrastructureError, UsageError
from bsdgate.harness.exit_codes import INTERNAL_ERROR, guarded

NOWHERE = Path(os.devnull)
FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="not every system has it")
PRINTS = """
import pathlib
import sys
from rich.console import Console
from bsdgate.harness.exit_codes import guarded

def failed():
    {}
    pathlib.Path(sys.argv[1]).write_text("done")
    return 1

sys.exit(guarded(failed))
"""
BY_CONSOLE = "Console().print('a'); Console().print('b')"
BY_PRINT = "print('a')"
AT_ONCE = "print('a', flush=True); print('b', flush=True)"
BY_EVERY_WAY = pytest.mark.parametrize(
    "body", [BY_CONSOLE, BY_PRINT, AT_ONCE], ids=["console", "end", "once"]
)


def raising(error: BaseException) -> Callable[..., None]:
    def run() -> None:
        raise error

    return run


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (0, 0), (1, 1)])
def test_the_exit_code_is_that_of_the_command(returned: int | None, code: int) -> None:
    assert guarded(lambda: returned) == code


ENDS = {
    click.exceptions.Exit(3): 3,
    click.UsageError("no such option"): 2,
    UsageError("no such run"): 2,
    InfrastructureError("no room"): 3,
    KeyboardInterrupt(): 130,
    MemoryError(): 3,
    OSError(28, "No space left on device"): 3,
    RecursionError(): 3,
    BrokenPipeError(): 3,
    SystemExit(1): 3,
    GeneratorExit(): 3,
    BaseExceptionGroup("several", [KeyboardInterrupt(), ValueError()]): 3,
}


@pytest.mark.parametrize("error", ENDS, ids=repr)
def test_no_error_has_the_exit_code_of_failed_tests(error: BaseException) -> None:
    assert guarded(raising(error)) == ENDS[error]


def test_an_unexpected_error_has_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(raising(MemoryError("\x1b[31mred"))) == 3
    message = capsys.readouterr().err
    assert message.startswith("Traceback")
    assert "in raising" not in message
    assert ", in run" in message
    assert r"MemoryError: \x1b[31mred" in message
    assert message.endswith(f"bsdgate: {INTERNAL_ERROR}\n")


def test_control_characters_in_an_error_are_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(raising(UsageError("a\x1b[31mb: no file", "try\x07 another"))) == 2
    assert capsys.readouterr().err == "bsdgate: a\\x1b[31mb: no file\n  -> try\\x07 another\n"


def test_control_characters_on_the_command_line_are_not_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert guarded(raising(click.UsageError("\x1b[31mno\x07 such file"))) == 2
    assert capsys.readouterr().err == "Error: no\\x07 such file\n"


def ended(
    body: str, stdout: int, stderr: int = subprocess.PIPE, work: Path = NOWHERE, **environment: str
) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", PRINTS.format(body), work],
        check=False,
        stdout=stdout,
        stderr=stderr,
        text=True,
        # As for users: the output is buffered.
        env=os.environ | {"PYTHONUNBUFFERED": ""} | environment,
    )
    return done.returncode, done.stderr


@BY_EVERY_WAY
def test_a_reader_that_has_ended_is_not_an_error(body: str, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert ended(body, writing, work=tmp_path / "work") == (1, "")
    finally:
        os.close(writing)
    assert (tmp_path / "work").read_text() == "done"


@FULL
@BY_EVERY_WAY
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_to_a_full_disk_is_an_error_after_the_work_is_done(
    body: str, unbuffered: str, tmp_path: Path
) -> None:
    with Path("/dev/full").open("w") as full:
        code, message = ended(
            body, full.fileno(), work=tmp_path / "work", PYTHONUNBUFFERED=unbuffered
        )
    assert (code, message) == (
        3,
        "bsdgate: cannot write standard output: No space left on device\n",
    )
    assert (tmp_path / "work").read_text() == "done"


def test_a_full_pipe_that_does_not_block_has_not_the_exit_code_of_failed_tests() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, bytes(4096))
    try:
        code, message = ended(BY_PRINT, writing)
    finally:
        os.close(reading)
        os.close(writing)
    assert code == 3
    assert message.startswith("bsdgate: cannot write standard output: ")


@FULL
def test_an_error_is_not_hidden_by_output_to_a_full_disk() -> None:
    refused = "from bsdgate.harness.errors import UsageError; print('a'); raise UsageError('no')"
    with Path("/dev/full").open("w") as full:
        code, message = ended(refused, full.fileno())
    assert code == 2
    assert message.startswith("bsdgate: no\nbsdgate: cannot write standard output: ")


@pytest.mark.parametrize("name", ["a" * 300, "a/" * 3000], ids=["name", "path"])
def test_a_path_that_is_too_long_is_a_usage_error(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert guarded(Path("/", name).stat) == 2
    message = capsys.readouterr().err
    assert message.startswith("bsdgate: cannot use the path /aa" if name[1] == "a" else "bsdgate: ")
    assert "File name too long\n  -> give another path" in message


@FULL
def test_an_error_that_cannot_be_printed_keeps_its_exit_code() -> None:
    with Path("/dev/full").open("w") as full:
        code, _ = ended("sys.argv[9]", subprocess.DEVNULL, full.fileno())
    assert code == 3


def test_a_character_that_a_terminal_cannot_show_is_printed_as_its_number(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as out:
        code, message = ended(r"print('\u2603')", out.fileno(), PYTHONIOENCODING="ascii")
    assert (code, message) == (1, "")
    assert (tmp_path / "out").read_text() == "\\u2603\n"


@pytest.mark.parametrize("name", ["click", "bsdgate.results.policy"])
def test_a_broken_installation_has_not_the_exit_code_of_failed_tests(name: str) -> None:
    broken = f"import sys; sys.modules[{name!r}] = None; from bsdgate.harness import __main__ as it"
    argv = [sys.executable, "-c", f"{broken}; sys.exit(it.main())"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert name in done.stderr
