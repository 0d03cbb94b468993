# SPDX-License-Identifier: Apache-2.0
"""Known failures: each with a bug, an owner, a reason and a last day.

A file is a YAML list of entries; their keys are documented at ``entries.Entry`` and, from there,
in doc/source/reference/expectations.rst. An entry without a bug or an owner, or one that has
expired, is reported and excuses nothing. With any other problem in a file, no file is used.
"""

from bsdgate.results.expectations.entries import Entry, Expectation, Expectations, valid
from bsdgate.results.expectations.files import ExpectationsError, ignored, listed, load, read
from bsdgate.results.expectations.scope import Scope
from bsdgate.results.expectations.strictness import (
    entry_reasons,
    unmatched_names,
    unmatched_note,
)

__all__ = [
    "Entry",
    "Expectation",
    "Expectations",
    "ExpectationsError",
    "Scope",
    "entry_reasons",
    "ignored",
    "listed",
    "load",
    "read",
    "unmatched_names",
    "unmatched_note",
    "valid",
]
