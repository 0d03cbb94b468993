# SPDX-License-Identifier: Apache-2.0
"""History: the results of earlier runs, kept in a database.

One run is one row, with the outcomes of its tests in one column of letters, because most queries
are about some hundred whole runs. Compared with a row for each test of each run, this takes a sixth
of the space and a third of the time to import a run. Reading the durations of all tests of a suite
is not slower; reading a few tests is, but takes only some tens of milliseconds
(tests/benchmarks/test_store.py measures both).
"""
