# SPDX-License-Identifier: Apache-2.0
"""The end of a command: its error message and exit code."""

import contextlib
import errno
import io
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any, Final, TextIO

import click

from bsdgate.harness.errors import InfrastructureError, Interrupted, UsageError
from bsdgate.results.errors import BsdgateError

INTERNAL_ERROR: Final = "internal error, not a test failure"
UNUSABLE: Final = (errno.ENAMETOOLONG, errno.ELOOP)
"""The values of errno for a path that the system cannot use, in any call."""


class _Output(io.FileIO):
    """Standard output that accepts all data, and keeps the first error of a write.

    A command continues without a reader or with a full disk: it completes its work, and reports the
    lost output at its end.
    """

    error: OSError | None = None

    def write(self, data: Any, /) -> int:
        """Write to the descriptor; after an error, discard the data."""
        try:
            if self.error is None:
                return super().write(data)
        except OSError as error:
            self.error = error
        return memoryview(data).nbytes


def guarded(run: Callable[[], Any]) -> int:
    """Run a command; return the exit code, also after an exception."""
    try:
        with _lasting_output() as output:
            return _exit_code_of(run, output)
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                _flush(stream)
            except (OSError, ValueError):
                # The interpreter would try again, print an error, and end with its own exit code.
                _discard(stream)


@contextlib.contextmanager
def _lasting_output() -> Iterator[_Output | None]:
    """Print through an ``_Output`` while the command runs; yield None without a descriptor.

    A character that the terminal cannot show is printed as its number, without an error.
    """
    stream = sys.stdout
    try:
        output = _Output(stream.fileno(), "w", closefd=False)
    except (AttributeError, OSError, ValueError):
        yield None
        return
    buffered = isinstance(getattr(stream, "buffer", None), io.BufferedWriter)
    text = io.TextIOWrapper(
        io.BufferedWriter(output) if buffered else output,
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.isatty(),
        write_through=not buffered,
    )
    with contextlib.redirect_stdout(text):
        yield output


def _exit_code_of(run: Callable[[], Any], output: _Output | None) -> int:
    code: int = InfrastructureError.exit_code
    try:
        code = run() or 0
    except click.exceptions.Exit as exit_:
        code = exit_.exit_code
    except click.ClickException as error:
        code = error.exit_code
        text = io.StringIO()
        error.show(text)
        _print_error(text.getvalue().rstrip("\n"))
    except (KeyboardInterrupt, click.Abort):
        code = Interrupted.exit_code
    except BsdgateError as error:
        code = error.exit_code
        _print_error(f"bsdgate: {error}")
    except BaseException as error:  # noqa: BLE001 - Python would exit with 1: tests failed
        code = _unexpected(error)
    return _check_output(code, output)


def _unexpected(error: BaseException) -> int:
    """Print an error that no command has handled; return the exit code."""
    if isinstance(error, OSError) and error.errno in UNUSABLE and error.filename is not None:
        unusable = UsageError(
            f"cannot use the path {error.filename}: {error.strerror}",
            "give another path; each name in a path may have at most 255 bytes",
        )
        _print_error(f"bsdgate: {unusable}")
        return unusable.exit_code
    if not isinstance(error, BrokenPipeError | SystemExit):
        with contextlib.suppress(Exception):
            _print_error(f"{traceback.format_exc()}bsdgate: {INTERNAL_ERROR}")
    return InfrastructureError.exit_code


def _check_output(code: int, output: _Output | None) -> int:
    """Return the exit code, or another one if output of the command is lost."""
    if output is None:
        return code
    try:
        _flush(sys.stdout)
    except OSError as error:
        # A full pipe that does not block, which _Output does not report as an error.
        output.error = output.error or error
    if output.error is None or isinstance(output.error, BrokenPipeError):
        return code
    _print_error(f"bsdgate: cannot write standard output: {output.error.strerror}")
    return InfrastructureError.exit_code if code in {0, 1} else code


def _print_error(message: str) -> None:
    """Write to stderr without control characters; ignore errors."""
    with contextlib.suppress(Exception):
        # Imported only now, because most commands have no error to print.
        from bsdgate.results.reporters.text import plain  # noqa: PLC0415

        click.echo("\n".join(map(plain, message.split("\n"))), err=True)


def _flush(stream: TextIO | None) -> None:
    # None if the process was started with a closed descriptor.
    if stream is not None:
        stream.flush()


def _discard(stream: TextIO) -> None:
    """Make a stream that cannot be written to discard all data."""
    with contextlib.suppress(OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)
