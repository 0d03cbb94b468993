# SPDX-License-Identifier: Apache-2.0
"""History: the results of earlier runs, kept in a database.

One run is one row, and its outcomes are one column of letters in that row, because most queries are
about some hundred whole runs. Compared with a row for each test of each run, this takes a sixth of
the space and a third of the time to import, and no more to read the durations of all tests of a
suite. For a few tests it is slower, still some tens of milliseconds (tests/benchmarks/test_store.py
measures both).
"""
