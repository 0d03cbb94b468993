# SPDX-License-Identifier: Apache-2.0
"""The ``tempest`` command, for directories with any name: ``python -m`` this module ARGUMENTS.

stestr starts the processes that run the tests by a shell command. It does not quote two words: the
interpreter, and the file with the ids of the tests, which is in TMPDIR. With a space or a special
character in one of these paths, every run would fail.

Each of these processes would also import all installed tests, to run some of them. If requests are
logged, ``recorded_tests`` runs the tests.

The repository of stestr is made here: ``stestr init`` takes a second to import what is imported
here anyway.
"""

import os
import re
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from stestr import test_processor
from stestr.repository import file as repositories
from tempest.cmd.main import main

from bsdgate.harness import request_log
from bsdgate.results.ids import bare

PLAIN: Final = "stestr.subunit_runner.run"
RECORDED: Final = "bsdgate.harness.runners.recorded_tests"
MODULES_BOUND: Final = 200
"""The maximum number of modules in the shell command; beyond it, all modules are imported."""
_DISCOVER: Final = re.compile(r'discover -t "[^"]*" "[^"]*"')


class QuotedProcessor(test_processor.TestProcessorFixture):
    """Starts the tests by a shell command in which all paths are quoted.

    A process imports only the modules of its own tests.
    """

    cmd: str

    def __init__(self, test_ids: Any, cmd_template: str, *arguments: Any, **options: Any) -> None:
        if request_log.VARIABLE in os.environ:
            cmd_template = cmd_template.replace(f"-m {PLAIN} ", f"-m {RECORDED} ", 1)
        quoted = cmd_template.replace("${PYTHON}", shlex.quote(sys.executable), 1)
        super().__init__(test_ids, quoted, *arguments, **options)

    def setUp(self) -> None:
        """Make the shell command."""
        super().setUp()
        if self.test_ids:
            self.cmd = _narrow(self.cmd, self.test_ids)

    def make_listfile(self) -> str:
        """Write the ids of the tests to a file; return its name, quoted for the shell."""
        return shlex.quote(super().make_listfile())


def _narrow(line: str, test_ids: Iterable[str]) -> str:
    modules = sorted({bare(each).rsplit(".", 2)[0] for each in test_ids})
    if len(modules) > MODULES_BOUND:
        return line
    return _DISCOVER.sub(lambda _: shlex.join(modules), line, count=1)


def make_repository() -> None:
    """Make stestr's repository in the working directory; Tempest needs it even to list tests."""
    if not Path(".stestr").exists():
        repositories.RepositoryFactory().initialise(".")


if __name__ == "__main__":
    make_repository()
    test_processor.TestProcessorFixture = QuotedProcessor
    sys.exit(main())
