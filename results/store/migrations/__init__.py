# SPDX-License-Identifier: Apache-2.0
"""The migrations of the history's tables, for Alembic.

A new step is a new module beside these, and its revision the new ``tables.SCHEMA``; a test
compares what the steps make with ``tables``. Steps that were released never change.
"""
