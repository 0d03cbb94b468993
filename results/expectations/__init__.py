# SPDX-License-Identifier: Apache-2.0
"""Known failures: each with a bug, an owner, a reason and a day on which it ends.

A file is a YAML list of entries:

    # test is an id, a glob of * and ?, or id-<uuid>.
    - test: tempest.api.compute.servers.test_rescue.*
      bug: https://bugs.launchpad.net/nova/+bug/1
      owner: jane
      reason: fake servers have no rescue disk
      since: 2026-11-01
      expires: 2027-05-01
      outcome: fail                                      # or skip: coverage known to be lost
      scope: {profile: embedded, freebsd: ">=15.0"}      # all keys must fit the run's facts

An entry without a bug or an owner is read, excuses nothing, and is reported; so is one that has
expired. Anything else that is wrong with a file keeps all of them from being used.
"""

from bsdgate.results.expectations.entries import Expectation, Expectations, valid
from bsdgate.results.expectations.files import ExpectationsError, listed, load, read, strays
from bsdgate.results.expectations.strictness import complaints, unmatched, unmatched_note

__all__ = [
    "Expectation",
    "Expectations",
    "ExpectationsError",
    "complaints",
    "listed",
    "load",
    "read",
    "strays",
    "unmatched",
    "unmatched_note",
    "valid",
]
