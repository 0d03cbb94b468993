# SPDX-License-Identifier: Apache-2.0
"""The ``tempest`` command, in folders with any name: ``python -m`` this module, its arguments.

stestr starts the processes that run the tests by a line for the shell. Two words of it are not
quoted: the interpreter, and the file with the ids of the tests, which lies in TMPDIR. A space in
the path of either would end every run, and other characters would be obeyed by the shell.

Each of these processes would also import all tests that are installed, to run some of them.
Where a log of requests is kept, ``recorded_tests`` runs the tests.
"""

import os
import re
import shlex
import sys
from collections.abc import Iterable
from typing import Any, Final

from stestr import test_processor
from tempest.cmd.main import main

from bsdgate.harness import request_log
from bsdgate.results.ids import bare

PLAIN: Final = "stestr.subunit_runner.run"
RECORDED: Final = "bsdgate.harness.runners.recorded_tests"
MODULES_BOUND: Final = 200
"""More modules than this do not go into the shell's line, and are most of all there are."""
_DISCOVER: Final = re.compile(r'discover -t "[^"]*" "[^"]*"')


class QuotedProcessor(test_processor.TestProcessorFixture):
    """Starts the tests by a line in which every path is one word.

    A process imports the modules of its own tests only.
    """

    cmd: str

    def __init__(self, test_ids: Any, cmd_template: str, *arguments: Any, **options: Any) -> None:
        if request_log.VARIABLE in os.environ:
            cmd_template = cmd_template.replace(f"-m {PLAIN} ", f"-m {RECORDED} ", 1)
        quoted = cmd_template.replace("${PYTHON}", shlex.quote(sys.executable), 1)
        super().__init__(test_ids, quoted, *arguments, **options)

    def setUp(self) -> None:
        """Make the line."""
        super().setUp()
        if self.test_ids:
            self.cmd = _narrow(self.cmd, self.test_ids)

    def make_listfile(self) -> str:
        """Write the ids of the tests into a file; return its name as the line needs it."""
        return shlex.quote(super().make_listfile())


def _narrow(line: str, test_ids: Iterable[str]) -> str:
    modules = sorted({bare(each).rsplit(".", 2)[0] for each in test_ids})
    if len(modules) > MODULES_BOUND:
        return line
    return _DISCOVER.sub(lambda _: shlex.join(modules), line, count=1)


if __name__ == "__main__":
    test_processor.TestProcessorFixture = QuotedProcessor
    sys.exit(main())
