# SPDX-License-Identifier: Apache-2.0
"""Known failures: entries that excuse a failing test until a last day.

A file is a YAML list of entries. ``entries.Entry`` documents their keys;
doc/source/reference/expectations.rst is generated from it. An entry that has expired, or that has
no bug or no owner, is reported and excuses nothing. If a file has any other problem, none of the
files is used.
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
