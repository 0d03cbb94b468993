# SPDX-License-Identifier: Apache-2.0
"""The migrations of the history's tables, for Alembic.

To add a migration, add a module to this package and set ``tables.SCHEMA`` to its revision. A test
checks that all migrations together give the tables of ``tables``. Do not change a released
migration.
"""
