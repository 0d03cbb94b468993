# SPDX-License-Identifier: Apache-2.0
"""History: what became of earlier runs, kept in a database or in memory.

One run is one row, and its outcomes are one column of letters in that row: most of what is asked of
the history is about some hundred whole runs. Beside a row for each test of each run that takes a
sixth of the room and is several times as fast for all tests of a suite, and slower, though still
some tens of milliseconds, for a few of them (tests/benchmarks/test_store.py measures both).
"""
