# SPDX-License-Identifier: Apache-2.0
"""Generates the reference page of the files of known failures from their model.

``python -m bsdgate.results.expectations.reference > doc/source/reference/expectations.rst``
"""

import sys
from typing import Final

from bsdgate.results import reference
from bsdgate.results.expectations.entries import Entry
from bsdgate.results.expectations.scope import Scope

COMMAND: Final = "python -m bsdgate.results.expectations.reference"


def render() -> str:
    """Return the text of doc/source/reference/expectations.rst."""
    return reference.render("Files of known failures", COMMAND, [Entry, Scope])


if __name__ == "__main__":
    sys.stdout.write(render())
