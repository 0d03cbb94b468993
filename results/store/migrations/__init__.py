# SPDX-License-Identifier: Apache-2.0
"""How the history's tables came to be as they are, step by step, for Alembic.

A new step is a new module beside these, and its revision the new ``tables.SCHEMA``; a test
compares what the steps make with ``tables``. Steps that were released never change.
"""
