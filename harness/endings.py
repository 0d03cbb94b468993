# SPDX-License-Identifier: Apache-2.0
"""How a command ends: what is told of its errors, and the exit code."""

import contextlib
import io
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any, Final, TextIO

import click
import rich.console

from bsdgate.harness.errors import InfrastructureError, Interrupted
from bsdgate.results.errors import BsdgateError

DEFECT: Final = "a defect of bsdgate or of this machine: it proves nothing about what was tested"


class Console(rich.console.Console):
    """Where a command prints; whoever reads that may go away at any time, as ``head`` does.

    The command goes on without a reader, so that its exit code is what it would have been.
    """

    def on_broken_pipe(self) -> None:
        """Print no more."""
        self.quiet = True
        _let_go(sys.stdout)


def guarded(run: Callable[[], Any]) -> int:
    """Run a command; return the exit code, in whatever way it ends."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # That a terminal cannot show some letter of a name is no reason to fail.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return _ended(run)
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                _flush(stream)
            except (OSError, ValueError):
                # The interpreter would try again, complain, and end with a code of its own.
                _let_go(stream)


def _ended(run: Callable[[], Any]) -> int:
    code: int = InfrastructureError.exit_code
    try:
        code = run() or 0
        # What is left is written now, while the code can still tell that it was not.
        _flush(sys.stdout)
    except (BrokenPipeError, SystemExit):
        # Nobody reads on. Click makes SystemExit(1) of that, which would say that tests failed.
        pass
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
    except BaseException:  # noqa: BLE001 - Python would end with 1, which says that tests failed
        code = InfrastructureError.exit_code
        with contextlib.suppress(Exception):
            _tell(f"{traceback.format_exc()}bsdgate: {DEFECT}")
    return code


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
