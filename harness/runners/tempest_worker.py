# SPDX-License-Identifier: Apache-2.0
"""The ``tempest`` command, in folders with any name: ``python -m`` this module, its arguments.

stestr starts the processes that run the tests by a line for the shell. Two words of it are not
quoted: the interpreter, and the file with the ids of the tests, which lies in TMPDIR. A space in
the path of either would end every run, and other characters would be obeyed by the shell.
"""

import shlex
import sys
from typing import Any

from stestr import test_processor
from tempest.cmd.main import main


class QuotedProcessor(test_processor.TestProcessorFixture):
    """Starts the tests by a line in which every path is one word."""

    def __init__(self, test_ids: Any, cmd_template: str, *arguments: Any, **options: Any) -> None:
        quoted = cmd_template.replace("${PYTHON}", shlex.quote(sys.executable), 1)
        super().__init__(test_ids, quoted, *arguments, **options)

    def make_listfile(self) -> str:
        """Write the ids of the tests into a file; return its name as the line needs it."""
        return shlex.quote(super().make_listfile())


if __name__ == "__main__":
    test_processor.TestProcessorFixture = QuotedProcessor
    sys.exit(main())
