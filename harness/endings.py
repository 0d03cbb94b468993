# SPDX-License-Identifier: Apache-2.0
"""How a command ends: what is told of its errors, and the exit code."""

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

DEFECT: Final = "a defect of bsdgate or of this machine: it proves nothing about what was tested"
UNUSABLE: Final = (errno.ENAMETOOLONG, errno.ELOOP)
"""What the system says of a path that cannot be one, wherever it is used first."""


class _Output(io.FileIO):
    """Standard output that takes all, and keeps the first error of what could not be written.

    A command goes on without a reader or with a full disk: it does what it was started for, and its
    end tells what was not shown.
    """

    error: OSError | None = None

    def write(self, data: Any, /) -> int:
        """Write to the descriptor; after an error, to nowhere."""
        try:
            if self.error is None:
                return super().write(data)
        except OSError as error:
            self.error = error
        return memoryview(data).nbytes


def guarded(run: Callable[[], Any]) -> int:
    """Run a command; return the exit code, in whatever way it ends."""
    try:
        with _lasting_output() as output:
            return _ended(run, output)
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                _flush(stream)
            except (OSError, ValueError):
                # The interpreter would try again, complain, and end with a code of its own.
                _let_go(stream)


@contextlib.contextmanager
def _lasting_output() -> Iterator[_Output | None]:
    """Print through an ``_Output``, for as long as the command runs; None where there is no file.

    That a terminal cannot show some letter of a name is no reason to fail either.
    """
    stream = sys.stdout
    try:
        output = _Output(stream.fileno(), "w", closefd=False)
    except (AttributeError, OSError, ValueError):
        yield None
        return
    held_back = isinstance(getattr(stream, "buffer", None), io.BufferedWriter)
    text = io.TextIOWrapper(
        io.BufferedWriter(output) if held_back else output,
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.isatty(),
        write_through=not held_back,
    )
    with contextlib.redirect_stdout(text):
        yield output


def _ended(run: Callable[[], Any], output: _Output | None) -> int:
    code: int = InfrastructureError.exit_code
    try:
        code = run() or 0
    except click.exceptions.Exit as exit_:
        code = exit_.exit_code
    except click.ClickException as error:
        code = error.exit_code
        told = io.StringIO()
        error.show(told)
        _tell(told.getvalue().rstrip("\n"))
    except (KeyboardInterrupt, click.Abort):
        code = Interrupted.exit_code
    except BsdgateError as error:
        code = error.exit_code
        _tell(f"bsdgate: {error}")
    except BaseException as error:  # noqa: BLE001 - Python would end with 1: that tests failed
        code = _unexpected(error)
    return _shown(code, output)


def _unexpected(error: BaseException) -> int:
    """Tell of an error that no command has made its own; return the exit code."""
    if isinstance(error, OSError) and error.errno in UNUSABLE and error.filename is not None:
        unusable = UsageError(
            f"cannot use the path {error.filename}: {error.strerror}",
            "give another one; each name in it may have 255 bytes",
        )
        _tell(f"bsdgate: {unusable}")
        return unusable.exit_code
    if not isinstance(error, BrokenPipeError | SystemExit):
        with contextlib.suppress(Exception):
            _tell(f"{traceback.format_exc()}bsdgate: {DEFECT}")
    return InfrastructureError.exit_code


def _shown(code: int, output: _Output | None) -> int:
    """Return the code, or another one where what the command printed is lost."""
    if output is None:
        return code
    try:
        _flush(sys.stdout)
    except OSError as error:
        # One that is no error to an _Output: a pipe that does not block, and is full.
        output.error = output.error or error
    if output.error is None or isinstance(output.error, BrokenPipeError):
        return code
    _tell(f"bsdgate: cannot write standard output: {output.error.strerror}")
    return InfrastructureError.exit_code if code in {0, 1} else code


def _tell(message: str) -> None:
    """Write to stderr, and nothing that a terminal would obey; as well as is still possible."""
    with contextlib.suppress(Exception):
        # Only now: most commands have nothing to tell.
        from bsdgate.results.reporters.text import plain  # noqa: PLC0415

        click.echo("\n".join(map(plain, message.split("\n"))), err=True)


def _flush(stream: TextIO | None) -> None:
    # None, where the process was started with a closed one.
    if stream is not None:
        stream.flush()


def _let_go(stream: TextIO) -> None:
    """Turn a stream that cannot be written to into one that takes all."""
    with contextlib.suppress(OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)
