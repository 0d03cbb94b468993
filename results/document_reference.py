# SPDX-License-Identifier: Apache-2.0
"""The reference of verdict.json, made from the model.

``python -m bsdgate.results.document_reference > doc/source/reference/verdict.rst``
"""

import sys
from typing import Final

from bsdgate.results import reference
from bsdgate.results.codes import Code
from bsdgate.results.document import SCHEMA
from bsdgate.results.model import (
    Case,
    Disposition,
    Feature,
    KnownFailure,
    Outcome,
    Reason,
    Run,
    Source,
    Summary,
    Verdict,
)

COMMAND: Final = "python -m bsdgate.results.document_reference"

TYPES: Final = (
    *(Verdict, Run, Source, Feature, Reason, Case),
    *(Disposition, KnownFailure, Summary),
)

_HEAD: Final = f"""\
``report/verdict.json`` in a run directory is one JSON object: the fields of Verdict_ and two more.
``schema`` is the version of the document ({SCHEMA}; bsdgate reads version 3 as well). ``counts``
has the number of ``asked`` tests, and of tests in each outcome; a reader counts the cases.
The outcomes are {", ".join(Outcome)}. Fields without a value are absent. Times are ISO 8601 in UTC.
"""


def render() -> str:
    """Return doc/source/reference/verdict.rst."""
    page = reference.render("verdict.json", COMMAND, TYPES, "serialization")
    title, first, rest = page.partition("\nVerdict\n=======\n")
    return f"{title}\n{_HEAD}{first}{rest}\n{reference.values('Codes', Code)}"


if __name__ == "__main__":
    sys.stdout.write(render())
